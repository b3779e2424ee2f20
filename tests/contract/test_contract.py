"""Generated requests against resources of models: no 500, and no answer that OpenAPI does not describe.

`nox -s contract` runs it: schemathesis is in no other environment. Its cases are of two kinds. Some 15,700 are made of
the bounds of each parameter and field, the same in each run, and invalid ones among them. The others are drawn.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.python.asgi import ASGIClient, get_client

from crud.resources import EmployeeSchema, RateSchema, api_of, companies
from djfast_mount import mount
from djfast_mount.crud import LimitOffset, ModelRouter
from project.companies.models import Company, Label, Rate
from project.zoo.models import Animal, Enclosure
from schemas.zoo_schemas import AnimalSchema

EXAMPLES = int(os.environ.get("TEST_CONTRACT_EXAMPLES", "30"))

every = {"create": True, "update": True, "delete": True}
app = mount(
    "/api",
    api_of(
        companies(filters="default"),
        ModelRouter(RateSchema, prefix="/rates", filters="all", page=LimitOffset(), **every),
        ModelRouter(EmployeeSchema, prefix="/employees", filters="all", search=["name"], **every),
        ModelRouter(AnimalSchema, prefix="/animals", filters="all", search=["name"], **every),
    ),
)
schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)

CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)


@pytest.fixture(autouse=True)
def rows(transactional_db: None) -> None:
    """A company with ids that generated requests find, too."""
    row = Company.objects.create(id=1, name="a", slug="a", size=1)
    row.departments.create(id=1, name="d").teams.create(id=1, name="t")
    row.employees.create(id=1, name="e")
    row.labels.add(Label.objects.create(id=1, name="l"))
    Rate.objects.create(country="a", year=1)
    home = Enclosure.objects.create(code="a")
    Animal.objects.create(id=1, name="a", small=1, positive=1, enclosure=home)


@pytest.fixture(scope="module")
def client() -> Iterator[ASGIClient]:
    """One for all cases: a new one for each has the lifespan run, and looks for proxies in the environment."""
    with get_client(app) as found:
        found.trust_env = False
        yield found


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_described(case: Any, client: ASGIClient, counts: Counter[str]) -> None:
    """Whatever is sent is answered, in a way that OpenAPI tells of."""
    response = case.call(session=client, headers={"X-Token": "1"})
    client.cookies.clear()
    counts["drawn" if case.meta.phase.name == "fuzzing" else "of bounds"] += 1
    # What is no request at all is refused by the root, in plain text, before there is an operation.
    if (response.status_code, response.headers.get("content-type")) != (400, ["text/plain; charset=utf-8"]):
        case.validate_response(response, checks=CHECKS)
