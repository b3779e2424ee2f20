"""Operation ids: those of a router, those of a project, and two versions of one resource.

Holds `crud/routes/operation_ids.py` and `crud/routes/starting.py`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from crud.resources import CompanySchema, EmployeeSchema
from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.testing import Client

pytestmark = pytest.mark.django_db


def versioned(route: Any) -> str:
    return f"{route.path.split('/')[1]}_{route.endpoint.__name__}"


def companies(**options: Any) -> ModelRouter:
    employees = ModelRouter(EmployeeSchema, prefix="/employees", create=True)
    return ModelRouter(CompanySchema, prefix="/companies", create=True, update=True, children=[employees], **options)


def versions(**options: Any) -> FastAPI:
    api = FastAPI()
    api.include_router(companies(), prefix="/v1")
    second = APIRouter(prefix="/v2")
    second.include_router(companies(), **options)
    api.include_router(second)
    return api


def ids(api: FastAPI) -> list[str]:
    paths = api.openapi()["paths"]
    return [operation["operationId"] for item in paths.values() for operation in item.values()]


def test_two_versions_are_told_apart_by_fastapis_function() -> None:
    """`generate_unique_id_function` of a project goes first, and the other version keeps its ids."""
    api = versions(generate_unique_id_function=versioned)
    with Client(mount("/api", api)):
        found = ids(api)
    assert max(Counter(found).values()) == 1
    assert {"list_companies", "v2_list_companies", "v2_create_company_employee"} <= set(found)


def told(api: FastAPI, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with Client(mount("/api", api)):
        return [message for each in caplog.records if "operation id" in (message := each.getMessage())]


def test_two_versions_that_are_not_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """Two routes with one operation id are told at the start, once for an app, with the remedy."""
    [message] = told(versions(), caplog)
    assert "'/v1/companies' and '/v2/companies' have the operation id 'list_companies'" in message
    assert "generate_unique_id_function" in message
    assert told(versions(generate_unique_id_function=versioned), caplog) == []


def test_a_version_that_is_not_documented(caplog: pytest.LogCaptureFixture) -> None:
    """A router that is left out of OpenAPI the second time has its ids for itself."""
    api = versions(include_in_schema=False)
    assert told(api, caplog) == []
    assert max(Counter(ids(api)).values()) == 1


def test_a_function_of_the_router_or_of_the_app() -> None:
    """It is asked for every route, wherever it is said; otherwise the ids are those of the router."""
    of_router, of_app, own = FastAPI(), FastAPI(generate_unique_id_function=versioned), FastAPI()
    of_router.include_router(companies(generate_unique_id_function=versioned))
    of_app.include_router(companies())
    own.include_router(companies())
    assert "companies_update_company" in ids(of_router)
    assert "companies_create_company_employee" in ids(of_router)
    assert "companies_create_company_employee" in ids(of_app)
    assert {"update_company", "create_company_employee"} <= set(ids(own))
