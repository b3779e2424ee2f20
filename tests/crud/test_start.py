"""What routers cost at the start: each route is read once, and what it answers is built for OpenAPI alone.

Holds `crud/routes/descriptions.py`.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.crud.routes.descriptions import made_later
from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.reading.route_calls import read_what_routes_return
from project.firm.models import Company

pytestmark = pytest.mark.once


class CompanySchema(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]


class Counted:
    """An endpoint that counts how often its signature is read."""

    def __init__(self) -> None:
        self.read = 0

    @property
    def __signature__(self) -> inspect.Signature:
        self.read += 1
        return inspect.Signature()

    def __call__(self) -> dict[str, Any]:
        return {}


def test_mount_makes_no_route_of_an_included_router_a_second_time() -> None:
    """`mount()` leaves endpoints of an included router to FastAPI, which reads them when a request comes."""
    endpoint, router, api = Counted(), APIRouter(), FastAPI()
    router.add_api_route("/x", endpoint, response_model=None)
    api.include_router(router)
    before = endpoint.read
    mount("/api", api)
    assert endpoint.read == before


def test_answers_are_made_for_openapi() -> None:
    """What a route answers is made when the document is asked for, and stands there as itself."""
    made: list[Any] = []

    def make() -> Any:
        made.append(CompanySchema)
        return list[CompanySchema]

    api = FastAPI()
    api.add_api_route("/x", lambda: None, response_model=made_later(make))
    assert made == []
    answer = api.openapi()["paths"]["/x"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert (answer["type"], answer["items"]) == ("array", {"$ref": "#/components/schemas/Company"})


def test_what_openapi_says_besides_is_an_honest_mapping() -> None:
    """The parameters of a list, which are made when they are asked for, are there however they are asked for."""
    router = ModelRouter(CompanySchema, prefix="/companies")
    [listed] = [route for route in router.routes if route.name == "company-list" and "GET" in route.methods]  # type: ignore[attr-defined]
    extra = listed.openapi_extra  # type: ignore[attr-defined]
    shown = extra["parameters"]
    assert {"name", "limit", "cursor", "Prefer"} <= {each["name"] for each in shown}
    assert dict(extra) == {**extra} == dict(extra.items()) == {"parameters": shown}
    assert (extra.get("parameters"), list(extra), len(extra), extra == {"parameters": shown}) == (
        *(shown, ["parameters"], 1, True),
    )


def test_routes_of_a_router_answer_for_themselves() -> None:
    """The calls of a router's routes are as they were made: nothing reads rows out of what they return."""
    api, router = FastAPI(), ModelRouter(CompanySchema, prefix="/companies")
    api.include_router(router)
    before = [route.dependant.call for route in router.routes]  # type: ignore[attr-defined]
    read_what_routes_return(api)
    assert [route.dependant.call for route in router.routes] == before  # type: ignore[attr-defined]
