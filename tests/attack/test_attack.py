"""The companies of two tenants, attacked: every route, with an id or a name of the other tenant in every position.

The oracle is non-interference: each request is made in two worlds, which differ in the other tenant's rows alone, and
must be answered byte for byte the same. So it is told of no row that it exists. Nothing of theirs may be written.
"""

from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from django.db import transaction
from django.forms.models import model_to_dict

from attack import to_one
from attack.requests import LISTS, Requests, Rows, Sent
from companies.management.commands.seed import SCOPES
from companies.models import Company, CostCentre, Department, Employee, Team, Tenant, User
from directory.asgi import app
from djfast_mount import mount
from djfast_mount.testing import Client
from djfast_mount.tokens.models import APIToken

REQUESTS = int(os.environ.get("TEST_ATTACK_REQUESTS", "500"))
# "2/8" makes the second of eight parts of all of them, which take hours together.
PART, PARTS = map(int, os.environ.get("TEST_ATTACK_PART", "1/1").split("/"))
# The methods by which a token of one scope writes; "delete" allows `/reopen` too.
WRITES = {"read": set(), "create": {"POST"}, "update": {"PUT", "PATCH"}, "delete": {"DELETE", "POST"}}

pytestmark = pytest.mark.django_db


def rows_of(name: str) -> Rows:
    tenant = Tenant.objects.create(name=name)
    centre = CostCentre.objects.create(tenant=tenant, code=name, name=name)
    company = Company.objects.create(tenant=tenant, name=name, size=5, founded="2020-01-02")
    department = company.departments.create(name=name, budget=5, cost_centre=centre)
    team = department.teams.create(name=name)
    employee = company.employees.create(name=name, team=team, email=f"{name}@example.com", salary=5)
    return {Company: company, Department: department, Team: team, Employee: employee, CostCentre: centre}


@pytest.fixture
def rows() -> tuple[Rows, Rows]:
    return rows_of("own"), rows_of("foreign")


def linked(mine: Rows, theirs: Rows) -> Rows:
    """Rows of one tenant that lead to rows of the other, as an import may leave them."""
    company = mine[Company]
    department = company.departments.create(name="linked", budget=7, cost_centre=theirs[CostCentre])
    team = department.teams.create(name="linked")
    employee = company.employees.create(name="linked", team=theirs[Team], email="linked@example.com")
    company.employees.create(name="below", team=team, email="below@example.com")
    return {Department: department, Team: team, Employee: employee}


def token_of(tenant: str, scopes: Any = SCOPES) -> str:
    user, _ = User.objects.get_or_create(username=tenant, tenant=Tenant.objects.get(name=tenant))
    return APIToken.objects.issue(user, "test", scopes).text


@pytest.fixture(params=["sample", "to one"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """The API of the sample, and one whose schemas nest relations to one row."""
    with Client(app if request.param == "sample" else mount("/api", to_one.api)) as found:
        yield found


def openapi(client: Client) -> dict[str, Any]:
    client.force_login(User.objects.create_superuser("admin"))
    found: dict[str, Any] = client.get("/api/openapi.json").json()
    client.logout()
    return found


def of(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def dump(tenant: str) -> list[Any]:
    """Everything of a tenant."""
    found = itertools.chain(
        CostCentre.objects.filter(tenant__name=tenant),
        Company.objects.filter(tenant__name=tenant),
        Department.objects.filter(company__tenant__name=tenant),
        Team.objects.filter(department__company__tenant__name=tenant),
        Employee.objects.filter(company__tenant__name=tenant),
    )
    return [(type(row).__name__, sorted(model_to_dict(row).items(), key=str)) for row in found]


def change(foreign: Rows) -> None:
    """Makes the other world: every value of the other tenant's is another, and there is one row more of each kind."""
    CostCentre.objects.filter(pk=foreign[CostCentre].pk).update(code="aaa", name="aaa")
    Company.objects.filter(pk=foreign[Company].pk).update(name="aaa", size=77, founded="1999-09-09", status="closed")
    Department.objects.filter(pk=foreign[Department].pk).update(name="aaa", budget=None, cost_centre=None)
    Team.objects.filter(pk=foreign[Team].pk).update(name="aaa")
    Employee.objects.filter(pk=foreign[Employee].pk).update(name="aaa", email="aaa@example.com", salary=77, team=None)
    foreign[Company].departments.create(name="more").teams.create(name="more")
    CostCentre.objects.create(tenant=foreign[Company].tenant, code="more", name="more")


def answer_of(client: Client, sent: Sent, headers: dict[str, str]) -> httpx.Response:
    return client.request(sent.method, f"/api{sent.path}", params=sent.params, json=sent.json, headers=headers)


class Worlds:
    def __init__(self, client: Client, foreign: Rows, other: str, token: str) -> None:
        self._client = client
        self._foreign = foreign
        self._other = other
        self._headers = of(token)

    def faults(self, every: Sequence[Sent]) -> Iterator[tuple[Sent, int, str | None]]:
        """Each request with its status, and what is wrong with its answers."""
        for several in _apart(every):
            first, second = (self._answered(several, changed=changed) for changed in (False, True))
            for sent, one, other in zip(several, first, second, strict=True):
                yield sent, one[0], _fault(one, other)

    def _answered(self, several: Sequence[Sent], *, changed: bool) -> list[tuple[int, str, bool]]:
        """The answers in one of the worlds, and whether the other tenant's rows are as they were."""
        with transaction.atomic():
            if changed:
                change(self._foreign)
            before = dump(self._other)
            answers = [answer_of(self._client, sent, self._headers) for sent in several]
            kept = dump(self._other) == before
            transaction.set_rollback(True)
        return [(answer.status_code, answer.text, kept) for answer in answers]


def _apart(every: Sequence[Sent]) -> Iterator[Sequence[Sent]]:
    """Reads together: a world is made once for all of them. Each other request has a world of its own."""
    reads = [sent for sent in every if sent.method in ("GET", "HEAD")]
    for number in range(0, len(reads), 200):
        yield reads[number : number + 200]
    yield from ([sent] for sent in every if sent.method not in ("GET", "HEAD"))


def _fault(one: tuple[int, str, bool], other: tuple[int, str, bool]) -> str | None:
    # The keys of new rows come from a sequence that all tenants share.
    same = [re.sub(r'"(id|token)":"?[\w.:-]+"?', "", text) for _, text, _ in (one, other)]
    # A cursor ends with the time at which it was signed.
    same = [re.sub(r'("next":"[^":]*):[^"]*"', r'\1"', text) for text in same]
    if not (one[2] and other[2]):
        return "it, or a read beside it, wrote"
    if one[0] >= 500 or one[0] != other[0] or same[0] != same[1]:
        return f"{one[0]} {one[1][:200]} / {other[0]} {other[1][:200]}"
    return None


def chosen(requests: Requests) -> list[Sent]:
    every = list(requests.all())
    assert len(every) > 5000
    every = every[PART - 1 :: PARTS]
    return every if len(every) <= REQUESTS else random.Random(REQUESTS).sample(every, REQUESTS)


@pytest.mark.parametrize("tenant", ["own", "foreign"])
def test_nothing_of_another_tenant_is_read_or_written(client: Client, rows: tuple[Rows, Rows], tenant: str) -> None:
    """Whatever one tenant sends, the answer is the same whatever the other's rows are, and they stay as they are."""
    mine, theirs = rows if tenant == "own" else rows[::-1]
    other = "foreign" if tenant == "own" else "own"
    requests = Requests(openapi(client), mine, theirs, linked(mine, theirs))
    worlds = Worlds(client, theirs, other, token_of(tenant))
    told, succeeded = [], 0
    for sent, status, fault in worlds.faults(chosen(requests)):
        succeeded += status < 300
        if status < 300 and requests.names_foreign(sent):
            told.append(f"{sent}: {status}, and it names a row of the other tenant")
        elif fault is not None:
            told.append(f"{sent}: {fault}")
    assert succeeded > 10
    assert told == [], f"{len(told)}\n" + "\n".join(told[:12])


def test_nobody_without_a_token(client: Client, rows: tuple[Rows, Rows]) -> None:
    """Without a token, and with a wrong one, every request is 401, and nothing is written."""
    requests = Requests(openapi(client), *rows)
    before = dump("own"), dump("foreign")
    for sent in chosen(requests):
        for headers in ({}, of("djfm_wrong")):
            answer = answer_of(client, sent, headers)
            assert answer.status_code == 401, f"{sent}: {answer.text[:200]}"
    assert (dump("own"), dump("foreign")) == before


@pytest.mark.parametrize("action", WRITES)
def test_a_token_of_one_scope(client: Client, rows: tuple[Rows, Rows], action: str) -> None:
    """A token with the scope of one action writes nothing but by that action, in bulk and nested rows included."""
    requests = Requests(openapi(client), *rows)
    headers = of(token_of("own", [f"{name}.{action}" for name in ("companies", "cost_centres")]))
    before = dump("own")
    for several in _apart(chosen(requests)):
        with transaction.atomic():
            answers = [answer_of(client, sent, headers) for sent in several]
            changed = dump("own") != before
            transaction.set_rollback(True)
        assert [answer.text[:200] for answer in answers if answer.status_code >= 500] == []
        if changed:
            sent = several[0]
            # A child's writes need the parent's update.
            below = "/departments" in sent.path or "/employees" in sent.path
            assert below if action == "update" and sent.method in ("POST", "DELETE") else sent.method in WRITES[action]


def pages(client: Client, path: str, order: str, headers: dict[str, str]) -> list[Any]:
    """The pages of one row each, as far as they go, with what is in their cursors."""
    found, params = [], {"order_by": order, "limit": "1"}
    for _ in range(6):
        page = client.get(f"/api{path}", params=params, headers=headers).json()
        cursor = page.pop("next", None)
        # Behind it are the time and the signature.
        found.append((page, cursor and cursor.partition(":")[0]))
        if cursor is None:
            break
        params["cursor"] = cursor
    return found


@pytest.mark.parametrize("tenant", ["own", "foreign"])
def test_pages_tell_nothing_of_another_tenant(client: Client, rows: tuple[Rows, Rows], tenant: str) -> None:
    """A walk in any order has the same rows on its pages, and the same values in its cursors, in both worlds."""
    mine, theirs = rows if tenant == "own" else rows[::-1]
    requests = Requests(openapi(client), mine, theirs, linked(mine, theirs))
    headers = of(token_of(tenant))
    lists = [
        (sent.path, sent.params["order_by"])
        for sent in requests.all()
        if sent.method == "GET" and sent.params.get("limit") == 1 and sent.path.rpartition("/")[2] in LISTS
    ]
    lists = lists[PART - 1 :: PARTS]
    lists = lists if len(lists) <= REQUESTS // 10 else random.Random(REQUESTS).sample(lists, REQUESTS // 10)
    walks: list[list[Any]] = []
    for changed in (False, True):
        with transaction.atomic():
            if changed:
                change(theirs)
            walks.append([pages(client, path, order, headers) for path, order in lists])
            transaction.set_rollback(True)
    told = [one for one, found, other in zip(lists, *walks, strict=False) if found != other]
    assert told == []
    assert max(map(len, walks[0])) > 1


@pytest.mark.parametrize("client", ["sample"], indirect=True)
def test_cursors_of_another_tenant(client: Client, rows: tuple[Rows, Rows]) -> None:
    """A cursor that another tenant was given, or of another list, shows nothing that its own list would not."""
    for name in ("own", "foreign"):
        for number in range(3):
            Company.objects.create(tenant=Tenant.objects.get(name=name), name=f"{name}{number}", size=number)
    tokens = [of(token_of(name)) for name in ("own", "foreign")]
    url = "/api/v1/companies"
    for order in (None, "name", "-size", "departments__count"):
        params = {"limit": 2} | ({} if order is None else {"order_by": order})
        cursor = client.get(url, params=params, headers=tokens[1]).json()["next"]
        found = client.get(url, params={**params, "cursor": cursor}, headers=tokens[0])
        assert all("own" in item["name"] for item in found.json().get("items", [])), found.text
        for path in ("/api/v1/cost-centres", f"{url}/{rows[0][Company].pk}/departments"):
            assert client.get(path, params={"cursor": cursor, "limit": 2}, headers=tokens[0]).status_code == 422
