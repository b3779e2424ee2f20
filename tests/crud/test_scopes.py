"""Which scopes a write needs, in a tree of resources, and writes for which none are named.

Holds `crud/access/scopes.py`, and the scopes of `crud/declaring/resource.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Depends

from crud.resources import SCOPES, CompanySchema, DepartmentSchema, TeamSchema, api_of, caller
from crud.serving import Api, ok, served
from djfast_mount.crud import ActionScopes, ModelRouter
from djfast_mount.exceptions import ConfigurationError
from project.companies.models import Company

pytestmark = pytest.mark.django_db

EVERY = {"create": True, "update": True, "delete": True}
PARENT = ActionScopes(**{name: [name] for name in SCOPES})
OWN = ActionScopes(**{name: [f"d-{name}"] for name in SCOPES})


def tree(scopes: ActionScopes | None, child: ActionScopes | None = None, **options: Any) -> ModelRouter:
    """Companies, departments with the scopes `child`, and teams that have none of their own."""
    teams = ModelRouter(TeamSchema, prefix="/teams", **EVERY)
    departments = ModelRouter(DepartmentSchema, prefix="/departments", scopes=child, children=[teams], **EVERY)
    every = {"children": [departments], **EVERY, **options}
    return ModelRouter(CompanySchema, prefix="/companies", security=caller, scopes=scopes, **every)


def company() -> Company:
    return Company.objects.create(name="a", slug="a", tenant_id=1)


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_a_write_of_a_child_needs_the_update_of_its_parent(action: str, root_path: str) -> None:
    """A child with scopes of its own is written with them and the parent's to update, never with one of the two; and
    so is what is below it."""
    row = company()
    department = row.departments.create(name="d")
    client = Api(served(tree(PARENT, OWN)), root_path)
    path = f"/companies/{row.pk}/departments"
    method = {"create": "POST", "update": "PATCH", "delete": "DELETE"}[action]

    def send(path: str, scopes: str, pk: int | None) -> int:
        where = path if action == "create" else f"{path}/{pk}"
        return client.request(method, where, json={"name": "n"}, **client.of(f"1:{scopes}")).status_code

    wanted = {"create": 201, "update": 200, "delete": 204}[action]
    team = department.teams.create(name="t")
    below = f"{path}/{department.pk}/teams"
    assert [send(below, each, team.pk) for each in ("d-update", "update", "d-update,update")] == [403, 403, wanted]
    assert [send(path, each, department.pk) for each in ("none", f"d-{action}", "update", f"d-{action},update")] == [
        *[403] * 3,
        wanted,
    ]


def test_reading_a_child_needs_its_own_scopes_alone() -> None:
    """Only writes need the parent's scopes besides."""
    client, row = Api(served(tree(PARENT, OWN))), company()
    path = f"/companies/{row.pk}/departments"
    assert client.get(path, **client.of("1:read")).status_code == 403
    assert ok(client.get(path, **client.of("1:d-read")))["items"] == []


def test_openapi_tells_of_both() -> None:
    """The description of a child's write names its scopes, and those of the parent."""
    paths = api_of(tree(PARENT, OWN)).openapi()["paths"]
    told = paths["/companies/{company_id}/departments"]["post"]["description"]
    assert told == "Scopes: `d-create`, and `update`"


@pytest.mark.parametrize(
    ("scopes", "child", "options", "told"),
    [
        (ActionScopes(read=["r"], create=["w"]), None, {"update": False, "delete": False}, r"Department.*update=\["),
        (ActionScopes(create=["w"]), None, {"update": False, "delete": False}, r"Department.*CompanySchema.*update=\["),
        (ActionScopes(read=["r"]), None, {"children": []}, r"Company.*create=\["),
        (ActionScopes(read=["r"], create=["c"], update=["u"]), None, {"children": []}, r"Company.*delete=\["),
        (ActionScopes(replace=["p"], create=["c"], delete=["d"]), None, {"children": []}, r"Company.*update=\["),
        (None, ActionScopes(read=["r"], create=["c"], update=["u"]), {}, r"Department.*delete=\["),
    ],
)
def test_a_write_without_scopes_is_refused_at_the_start(
    scopes: ActionScopes | None, child: ActionScopes | None, options: dict[str, Any], told: str
) -> None:
    """Where some scopes are named, and none for a write that is switched on, the start says which, and the remedy."""
    with pytest.raises(ConfigurationError, match=told):
        api_of(tree(scopes, child, **options)).openapi()


def test_none_on_purpose() -> None:
    """An empty list says that a write needs a caller alone, below a parent too."""
    scopes = ActionScopes(read=["read"], create=[], update=[], delete=[])
    client, row = Api(served(tree(scopes))), company()
    assert ok(client.post(f"/companies/{row.pk}/departments", json={"name": "d"}, **client.of("1:none")), 201)
    assert client.get("/companies", **client.of("1:none")).status_code == 403


def test_no_scopes_at_all() -> None:
    """Without scopes= a caller is enough, and nothing is refused at the start."""
    client, row = Api(served(tree(None))), company()
    assert ok(client.post(f"/companies/{row.pk}/departments", json={"name": "d"}, **client.of("1:none")), 201)


def test_routes_by_hand_are_refused_too() -> None:
    """A route that you write, or include, and that is to ask for a write without scopes, is refused at the start."""
    reading = ActionScopes(read=["read"])

    def router() -> ModelRouter:
        return ModelRouter(CompanySchema, prefix="/companies", security=caller, scopes=reading)

    by_hand = router()
    by_hand.add_api_route("/{company_id}/close", lambda: None, methods=["POST"])
    allowing = router()

    allowing.add_api_route("/call", lambda: None, dependencies=[allowing.allowing("delete")])

    included = router()
    other = APIRouter()
    other.add_api_route("/other", lambda: None, methods=["POST"])
    included.include_router(other)
    for each, name in ((by_hand, "update"), (allowing, "delete"), (included, "update")):
        with pytest.raises(ConfigurationError, match=rf"Company.*{name}=\["):
            api_of(each).openapi()
    reads = router()
    other = APIRouter(dependencies=[Depends(caller)])
    other.add_api_route("/other", lambda: "told", methods=["GET"])
    reads.include_router(other)
    client = Api(served(reads))
    assert ok(client.get("/companies/other", **client.of("1:read"))) == "told"
