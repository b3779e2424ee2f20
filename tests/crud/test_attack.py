"""A generated attack: every operation, with another tenant's rows wherever it takes an id or a name.

The oracle is non-interference. What one tenant is answered may not depend on the other's rows: so each request is
made in two worlds, which differ in them alone, and is to be answered byte for byte the same. Nothing of theirs may be
written.

Holds `crud/access/rows_in_bodies.py`, `crud/access/rows_in_answers.py` and `crud/routes/body_parameters.py`.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.forms.models import model_to_dict

from crud.resources import SCOPES, api_of, companies
from crud.serving import Api, served
from project.companies.models import Company, CompanyDepartment, Employee, Label, Team

# `nox -s crud` makes all of them; with "2/8" the second of eight parts.
REQUESTS = int(os.environ.get("TEST_ATTACK_REQUESTS", "100"))
PART, PARTS = map(int, os.environ.get("TEST_ATTACK_PART", "1/1").split("/"))
MODELS = (Label, Company, CompanyDepartment, Team, Employee)
FOREIGN, OWN = "foreign", "own"
PARAMETERS = {"company_id": Company, "department_id": CompanyDepartment, "team_id": Team, "employee_id": Employee}

pytestmark = pytest.mark.django_db


@dataclass
class World:
    """The rows of both tenants, by model; some of one's own lead to the other's."""

    own: dict[type, Any] = field(default_factory=dict)
    foreign: dict[type, Any] = field(default_factory=dict)

    def dump(self) -> list[Any]:
        """Everything of the other tenant."""
        rows = itertools.chain(
            Label.objects.filter(tenant_id=2),
            Company.objects.filter(tenant_id=2),
            CompanyDepartment.objects.filter(company__tenant_id=2),
            Team.objects.filter(division__company__tenant_id=2),
            Employee.objects.filter(company__tenant_id=2),
        )
        return [(type(row).__name__, sorted(model_to_dict(row).items(), key=str)) for row in rows]

    def change(self) -> None:
        """Makes the other world."""
        Label.objects.filter(tenant_id=2).update(name="changed")
        Company.objects.filter(tenant_id=2).update(
            name="aaa", size=-99, status="paused", founded="1999-09-09", rating=None
        )
        CompanyDepartment.objects.filter(company__tenant_id=2).update(name="aaa", size=77, budget=None)
        Team.objects.filter(division__company__tenant_id=2).update(name="aaa")
        Employee.objects.filter(company__tenant_id=2).update(name="aaa", salary=7)
        CompanyDepartment.objects.create(company=self.foreign[Company], name="one more", size=1)
        self.foreign[Company].labels.clear()


def rows_of(tenant: int, name: str, owner: Company | None = None, lead: Employee | None = None) -> dict[type, Any]:
    label = Label.objects.create(name=name, tenant_id=tenant)
    company = Company.objects.create(
        name=name, slug=name, tenant_id=tenant, owner=owner, size=tenant, rating=tenant, founded="2020-01-02"
    )
    company.labels.add(label)
    department = company.departments.create(name=name, size=5, budget=5)
    employee = company.employees.create(name=name, department=department, salary=5)
    team = department.teams.create(name=name, lead=lead or employee)
    return {Label: label, Company: company, CompanyDepartment: department, Employee: employee, Team: team}


@pytest.fixture
def world() -> World:
    foreign = rows_of(2, FOREIGN)
    own = rows_of(1, OWN, owner=foreign[Company], lead=foreign[Employee])
    own[Company].labels.add(foreign[Label])
    Company.objects.create(name="second", slug="second", tenant_id=1, owner=own[Company])
    return World(own, foreign)


@dataclass
class Attack:
    method: str
    path: str
    params: dict[str, Any] = field(default_factory=dict)
    json: Any = None
    # A request with ids of one's own may succeed, and is looked at afterwards.
    may_succeed: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.params} {self.json}"


OPENAPI = api_of(companies()).openapi()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in OPENAPI["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def paths(path: str, world: World) -> Iterator[tuple[str, bool]]:
    """The path with every choice of own and foreign ids, and whether all are own."""
    names = [name for name in PARAMETERS if f"{{{name}}}" in path]
    for kinds in itertools.product((world.own, world.foreign), repeat=len(names)):
        made = path
        for name, kind in zip(names, kinds, strict=True):
            made = made.replace(f"{{{name}}}", str(kind[PARAMETERS[name]].pk))
        for function, column in (("count", "*"), ("sum", "size"), ("max", "departments"), ("count", "teams")):
            if "{function}" in path:
                yield made.replace("{function}", function).replace("{field}", column), world.foreign not in kinds
        if "{function}" not in path:
            yield made, world.foreign not in kinds


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return resolved(OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for each in schema.get("anyOf", []):
        if each.get("type") != "null":
            return resolved(each)
    return schema


TARGETS = {
    "owner": Company,
    "labels": Label,
    "company": Company,
    "department": CompanyDepartment,
    "lead": Employee,
    "departments": CompanyDepartment,
    "teams": Team,
}


def plain_value(name: str, schema: dict[str, Any], number: int) -> Any:
    if schema.get("type") == "array":
        return []
    if schema.get("type") in ("integer", "number"):
        return 1
    return (
        f"new{number}" if schema.get("type") == "string" and "format" not in schema and "enum" not in schema else None
    )


numbers = itertools.count()


def body_of(schema: dict[str, Any], key: Any = None) -> dict[str, Any]:
    """What a valid body may be: everything that is required, and nothing that names a row."""
    number = next(numbers)
    schema = resolved(schema)
    made = {
        name: plain_value(name, resolved(schema["properties"][name]), number) for name in schema.get("required", [])
    }
    return {**made, **({"id": key} if "id" in made else {})}


def bodies(schema: dict[str, Any], world: World, own: Any) -> Iterator[tuple[Any, bool]]:
    """Bodies that name a row of the other tenant, in each position there is; the first names none."""
    schema = resolved(schema)
    if schema.get("type") == "array":
        for body, clean in bodies(schema["items"], world, own):
            yield [body], clean
            yield [body_of(schema["items"], own), body], clean and "id" not in body
        if "id" in resolved(schema["items"])["properties"]:
            for model in MODELS:
                yield [{"id": world.foreign[model].pk, "name": "mine"}], False
        return
    yield body_of(schema, own), True
    for name, described in schema.get("properties", {}).items():
        target = TARGETS.get(name)
        if target is None:
            continue
        foreign = world.foreign[target].pk
        inner = resolved(described)
        if inner.get("type") != "array":
            yield {**body_of(schema, own), name: foreign}, False
            continue
        items = resolved(inner["items"])
        if items.get("type") == "integer":
            yield {**body_of(schema, own), name: [foreign]}, False
            yield {**body_of(schema, own), name: [world.own[target].pk, foreign]}, False
            continue
        for item, clean in bodies(items, world, foreign):
            yield {**body_of(schema, own), name: [item]}, clean
            yield {**body_of(schema, own), name: [{**item, "id": foreign}]}, False
        yield {**body_of(schema, own), name: []}, True


def values(parameter: dict[str, Any], world: World) -> Iterator[Any]:
    """Values that single out rows of the other tenant."""
    schema = parameter["schema"]
    kind = schema.get("items", schema)
    if "enum" in kind:
        yield from kind["enum"]
    elif "anyOf" in kind:
        yield from ("5", "2", "1")
    elif kind.get("type") == "boolean":
        yield from (True, False)
    elif kind.get("type") in ("integer", "number"):
        yield from {0, 1, 2, 5, world.foreign[Company].pk, world.foreign[Label].pk}
    elif kind.get("format") in ("date", "date-time"):
        yield from ("2020-01-02", "2000-01-01")
    else:
        yield from (FOREIGN, "for", OWN)


def attacks(world: World) -> Iterator[Attack]:
    for method, path, operation in operations():
        for made, own in paths(path, world):
            key = next(
                (world.own[model].pk for name, model in reversed(PARAMETERS.items()) if f"{{{name}}}" in path), 0
            )
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if content is not None:
                for body, clean in bodies(content, world, key):
                    yield Attack(method, made, json=body, may_succeed=own and clean)
            else:
                yield Attack(method, made, may_succeed=own)
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query" and parameter["name"] not in ("cursor", "limit", "offset"):
                    for value in values(parameter, world):
                        yield Attack(method, made, {parameter["name"]: value}, may_succeed=own)
                        if parameter["name"] not in ("order_by", "group_by", "search", "total"):
                            yield Attack(method, made, {f"!{parameter['name']}": value}, may_succeed=own)


@pytest.fixture(scope="module")
def app() -> Any:
    return served(companies())


@pytest.fixture
def api(app: Any) -> Iterator[Api]:
    with Api(app, token="1") as client:
        yield client


Answer = tuple[int, bytes, bool]


def answered(api: Api, several: Sequence[Attack], world: World, *, changed: bool) -> list[Answer]:
    """What requests are answered in one of the two worlds, and whether the other tenant's rows are as they were."""
    with transaction.atomic():
        if changed:
            world.change()
        before = world.dump()
        answers = [api.request(each.method, each.path, params=each.params, json=each.json) for each in several]
        kept = world.dump() == before
        transaction.set_rollback(True)
    return [(answer.status_code, answer.content, kept) for answer in answers]


def apart(every: Sequence[Attack]) -> Iterator[Sequence[Attack]]:
    """Reads together: a world is made once for all of them. Each other request has a world of its own."""
    reads = [attack for attack in every if attack.method == "GET"]
    for number in range(0, len(reads), 200):
        yield reads[number : number + 200]
    yield from ([attack] for attack in every if attack.method != "GET")


def answers_in_both(api: Api, world: World) -> Iterator[tuple[Attack, Answer, Answer]]:
    for several in apart(chosen(world)):
        yield from zip(
            several, *(answered(api, several, world, changed=changed) for changed in (False, True)), strict=True
        )


def chosen(world: World) -> list[Attack]:
    every = list(attacks(world))
    assert len(every) > 2000
    every = every[PART - 1 :: PARTS]
    return every if len(every) <= REQUESTS else random.Random(REQUESTS).sample(every, REQUESTS)


def test_nothing_of_another_tenant_is_read_or_written(api: Api, world: World) -> None:
    """Every answer is the same whatever the other tenant's rows are, and these stay as they are."""
    told = []
    succeeded = 0
    for attack, (status, body, kept), (other_status, other_body, other_kept) in answers_in_both(api, world):
        succeeded += status < 300
        made = attack.method in ("POST", "PUT", "PATCH") and status < 300
        same = status == other_status and (made or body == other_body)
        shown = status < 300 and FOREIGN.encode() in body
        if shown or not (kept and other_kept and same and status < 500):
            told.append((str(attack), status, body[:300], other_status, other_body[:300], kept, other_kept))
        elif status < 300 and not attack.may_succeed:
            told.append((str(attack), status, body[:300], "succeeded"))
    assert succeeded > 20
    assert told == [], "\n".join(map(str, told[:8]))


def test_nobody_without_a_token(api: Api, world: World) -> None:
    """Without a token every operation is 401, whatever else is in the request."""
    del api.headers["X-Token"]
    for attack in chosen(world)[:60]:
        assert answered(api, [attack], world, changed=False)[0][0] == 401, str(attack)


def test_every_action_wants_its_scope(api: Api, world: World) -> None:
    """A token without the scope of an action is 403 there, and nothing is written."""
    for method, path, operation in operations():
        for made, own in paths(path, world):
            if not own:
                continue
            kind = {"GET": "read", "DELETE": "delete", "POST": "create"}.get(method, "update")
            below = path.count("{") > (0 if "{function}" not in path else 2) and not path.endswith("{company_id}")
            # A child's writes need the parent's update.
            wanted = "update" if below and kind != "read" else kind
            for scope in SCOPES:
                headers = {"X-Token": f"1:{scope}"}
                with transaction.atomic():
                    status = api.request(method, made, json={}, headers=headers).status_code
                    transaction.set_rollback(True)
                assert (status == 403) is (scope != wanted), (method, path, scope, operation["operationId"])
