"""What asks for the caller gets whom `security` returns, and never what a client sends.

Holds `crud/access/callers.py`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Q
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.security import APIKeyHeader
from pydantic import Field
from starlette.requests import HTTPConnection

from crud.resources import Caller, CompanySchema, DepartmentSchema, EmployeeSchema, api_of, caller
from crud.serving import Api, ok, served
from djfast_mount import mount
from djfast_mount.crud import ActionScopes, ModelRouter
from djfast_mount.exceptions import ConfigurationError
from project.companies.models import Company, Label

pytestmark = pytest.mark.django_db


def untyped(access):  # type: ignore[no-untyped-def]
    return Q(tenant_id=getattr(access, "tenant_id", access))


def of_a_user(access: User) -> Any:
    return untyped(access)


def with_a_default(access: Any = None) -> Any:
    return untyped(access)


def a_default_before(other: int = Query(0), access: Any = None) -> Any:
    return untyped(access)


def from_the_query(access: Annotated[str, Query()]) -> Any:
    return untyped(access)


def from_a_default_query(access: str = Query("2")) -> Any:
    return untyped(access)


def from_both(access: Annotated[str, Depends(caller), Query()]) -> Any:
    return untyped(access)


def only_by_name(*, access: Any) -> Any:
    return untyped(access)


def all_by_name(**access: Any) -> Any:
    return untyped(access["access"])


async def in_a_coroutine(access: Any) -> Any:
    return untyped(access)


def with_another(other: str, access: Any) -> Any:
    return untyped(access)


class Rule:
    def __call__(self, access: Any) -> Any:
        return untyped(access)


class CoroutineRule:
    async def __call__(self, access: Any) -> Any:
        return untyped(access)


RULES: list[Callable[..., Any]] = [
    lambda access: Q(tenant_id=access.tenant_id),
    untyped,
    of_a_user,
    with_a_default,
    a_default_before,
    from_the_query,
    from_a_default_query,
    from_both,
    only_by_name,
    all_by_name,
    in_a_coroutine,
    Rule(),
    Rule().__call__,
    CoroutineRule(),
    functools.partial(with_another, "x"),
    functools.partial(in_a_coroutine, access=2),
]


def parameters_of(api: FastAPI) -> set[str]:
    operations = [operation for item in api.openapi()["paths"].values() for operation in item.values()]
    return {each["name"] for operation in operations for each in operation.get("parameters", [])}


def company(tenant_id: int) -> Company:
    return Company.objects.create(name=f"of {tenant_id}", slug=f"c-{tenant_id}", tenant_id=tenant_id)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: getattr(rule, "__qualname__", type(rule).__name__))
def test_the_caller_is_whom_security_returns(rule: Callable[..., Any]) -> None:
    """However the parameter is written, `access` in the query changes nothing, and is not in OpenAPI."""
    company(1), company(2)
    router = ModelRouter(CompanySchema, prefix="/companies", security=caller, rows=rule)
    assert "access" not in parameters_of(api_of(router))
    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", security=caller, rows=rule)))
    assert [item["name"] for item in ok(client.get("/companies"))["items"]] == ["of 1"]
    answer = client.get("/companies?access=2")
    assert answer.status_code == 422 or [item["name"] for item in answer.json()["items"]] == ["of 1"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: getattr(rule, "__qualname__", type(rule).__name__))
@pytest.mark.parametrize("name", ["rows", "related_rows", "server_values"])
def test_there_must_be_security(name: str, rule: Callable[..., Any]) -> None:
    """Without it the router cannot be included, nor asked for its routes, once or twice."""
    given: Any = {Label: rule} if name == "related_rows" else rule
    router = ModelRouter(CompanySchema, prefix="/companies", create=True, **{name: given})
    told = rf"ModelRouter\(CompanySchema, prefix='/companies'\).*{name}=.*security="
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=told):
            api_of(router)
    with pytest.raises(ConfigurationError, match=told):
        _ = router.routes


def acces_misspelt(acces: Any) -> Any: ...


def of_its_choice(practice_id: int, access: Any) -> Any: ...


def by_default(access: Any, tenant_id: int = 1) -> Any: ...


def whatever_comes(access: Any, **more: Any) -> Any: ...


class Constrained:
    def __call__(self, access: Any, size: Annotated[int, Field(ge=0)]) -> Any: ...


@pytest.mark.parametrize("name", ["rows", "related_rows", "server_values"])
@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda user: Q(), "'user', which would be read from the request: a client would choose it. Take access in"),
        (acces_misspelt, "acces_misspelt, has the parameter 'acces', which would be read"),
        (acces_misspelt, "Did you mean 'access'?"),
        (of_its_choice, "'practice_id'"),
        (by_default, "'tenant_id'"),
        (whatever_comes, "'more'"),
        (Constrained(), "'size'"),
        (functools.partial(by_default, tenant_id=2), "'tenant_id'"),
    ],
)
def test_a_parameter_that_a_client_would_choose(name: str, rule: Callable[..., Any], told: str) -> None:
    """It is an error when the routes are made, which names the router, the argument and the parameter."""
    given: Any = {Label: rule} if name == "related_rows" else rule
    router = ModelRouter(CompanySchema, prefix="/companies", create=True, security=caller, **{name: given})
    with pytest.raises(ConfigurationError) as caught:
        _ = router.routes
    assert f"ModelRouter(CompanySchema, prefix='/companies'): the function of {name}=, " in str(caught.value)
    assert told in str(caught.value)


AGAIN: Any = Depends(caller)


def test_parameters_that_say_where_they_come_from() -> None:
    """The connection, dependencies, and parts of the request that are named by a marker stay allowed."""
    company(1), company(2)

    def rule(
        request: Request,
        connection: Annotated[HTTPConnection, "the connection"],
        found: Annotated[Caller, Depends(caller)],
        tenant: Annotated[int, Header()],
        other: str = Query("x"),
        again: Any = AGAIN,
    ) -> Q:
        return Q(tenant_id=tenant) if found and again and request and connection and other else Q(pk__in=[])

    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", rows=rule)))
    assert [each["name"] for each in ok(client.get("/companies", headers={"tenant": "2"}))["items"]] == ["of 2"]


def test_a_rule_of_a_child() -> None:
    """A child has the security of its parent; where a child alone has one, its parent cannot ask its rule."""
    child = ModelRouter(EmployeeSchema, prefix="/employees", rows=lambda access: Q(company__tenant_id=access.tenant_id))
    parent = ModelRouter(CompanySchema, prefix="/companies", security=caller, children=[child])
    assert "access" not in parameters_of(api_of(parent))
    secured = ModelRouter(EmployeeSchema, prefix="/employees", security=caller, rows=untyped)
    with pytest.raises(ConfigurationError, match=r"CompanySchema.*rows= of ModelRouter\(EmployeeSchema"):
        api_of(ModelRouter(CompanySchema, prefix="/companies", children=[secured])).openapi()


def test_routes_by_hand() -> None:
    """A route that is written by hand does not open the rule to clients either."""
    router = ModelRouter(CompanySchema, prefix="/companies", rows=untyped, without=["list", "detail", "aggregate"])

    @router.get("/export")
    def export(listing: Any = router.listing) -> list[str]:
        return [row.name for row in listing.rows()]

    with pytest.raises(ConfigurationError, match="security="):
        api_of(router)
    api = FastAPI()
    with pytest.raises(ConfigurationError, match="security="):
        api.get("/elsewhere")(export)


def test_two_callers_in_one_call() -> None:
    """A rule that two routers share is asked for the caller of each, in one call too."""
    company(1), company(2)

    def other(token: Annotated[str, Depends(APIKeyHeader(name="X-Other"))]) -> Caller:
        return Caller(int(token), frozenset())

    routers = [
        ModelRouter(CompanySchema, prefix=f"/{each.__name__}", security=each, rows=untyped) for each in (caller, other)
    ]
    api = FastAPI()

    @api.get("/both")
    def both(one: Any = routers[0].listing, two: Any = routers[1].listing) -> list[list[str]]:
        return [[row.name for row in listing.rows()] for listing in (one, two)]

    assert ok(Api(mount("/api", api)).get("/both", headers={"X-Other": "2"})) == [["of 1"], ["of 2"]]


def test_a_dependency_of_a_rule() -> None:
    """One whose `access` would be read from the request is refused, with security too."""

    def tenant(access: int) -> int:
        return access

    def rule(number: int = Depends(tenant)) -> Q:
        return Q(tenant_id=number)

    with pytest.raises(ConfigurationError, match="tenant, a dependency of rows=, has the parameter access"):
        _ = ModelRouter(CompanySchema, prefix="/companies", security=caller, rows=rule).routes


def test_an_own_source_stays() -> None:
    """A parameter `access` that names its dependency needs no security."""
    company(1), company(2)

    def rule(access: Annotated[Caller | None, Depends(caller)]) -> Q:
        return Q(tenant_id=access.tenant_id if access else None)

    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", rows=rule)))
    assert [item["name"] for item in ok(client.get("/companies"))["items"]] == ["of 1"]


@pytest.mark.parametrize("options", [{"permissions": "django"}, {"scopes": ActionScopes(read=["read"])}])
def test_permissions_and_scopes_need_a_caller(options: dict[str, Any]) -> None:
    """Without security the start fails, for a child too; with its parent's it does not."""
    [name] = options
    told = rf"ModelRouter\(CompanySchema, prefix='/companies'\): {name}=.*Add security="
    with pytest.raises(ConfigurationError, match=told):
        _ = ModelRouter(CompanySchema, prefix="/companies", **options).routes
    child = ModelRouter(DepartmentSchema, prefix="/departments", **options)
    with pytest.raises(ConfigurationError, match=f"DepartmentSchema.*{name}="):
        api_of(ModelRouter(CompanySchema, prefix="/companies", children=[child])).openapi()
    child = ModelRouter(DepartmentSchema, prefix="/departments", **options)
    assert api_of(ModelRouter(CompanySchema, prefix="/companies", security=caller, children=[child])).openapi()


def test_a_caller_who_is_no_user() -> None:
    """With Django's permissions the error says what the caller lacks, for lists and for rows."""
    row = company(1)
    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", security=caller, permissions="django")))
    for path in ("/companies", f"/companies/{row.pk}"):
        with pytest.raises(ConfigurationError, match=r"returned a Caller, which has no has_perm\(\)"):
            client.get(path)


@pytest.mark.parametrize(
    ("options", "child", "warned"),
    [
        ({"create": True}, {}, ["CompanySchema"]),
        ({"delete": True}, {"update": True}, ["CompanySchema", "DepartmentSchema"]),
        ({}, {"create": True}, ["DepartmentSchema"]),
        ({}, {}, []),
        ({"create": True, "security": caller}, {"create": True}, []),
        ({"create": True, "dependencies": [Depends(caller)]}, {"create": True}, []),
    ],
)
def test_a_warning_of_open_routers(
    options: dict[str, Any],
    child: dict[str, Any],
    warned: list[str],
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    """Where nobody is asked who they are and rows can be written, the log says so at the start, but not with DEBUG."""

    def started() -> list[str]:
        below = ModelRouter(DepartmentSchema, prefix="/departments", **child)
        caplog.clear()
        with Api(served(ModelRouter(CompanySchema, prefix="/companies", children=[below], **options))):
            return [each.getMessage() for each in caplog.records if each.name == "djfast_mount.crud"]

    settings.DEBUG = False
    told = started()
    assert [re.findall(r"ModelRouter\((\w+), .*lets everybody write", each) for each in told] == [[w] for w in warned]
    settings.DEBUG = True
    assert started() == []


def test_a_child_has_one_parent() -> None:
    """A router that is a child already, or is there twice, is refused, for it would ask one of its parents alone."""
    child = ModelRouter(DepartmentSchema, prefix="/departments")
    told = r"prefix='/open'\): children= has .*Department.* a child already\. Make a router for each"
    with pytest.raises(ConfigurationError, match=told):
        ModelRouter(CompanySchema, prefix="/open", children=[child, child])
    ModelRouter(CompanySchema, prefix="/secured", security=caller, children=[child])
    with pytest.raises(ConfigurationError, match=told):
        ModelRouter(CompanySchema, prefix="/open", children=[child])
