"""What the arguments of ModelRouter do: pages, keys, hooks, permissions, routes by hand, and mistakes.

Holds `crud/declaring/exposure.py`, `crud/declaring/from_arguments.py`,
`crud/declaring/option_values.py`, `crud/declaring/options.py`, `crud/full_text.py`, `crud/pages/listing.py`,
`crud/pages/paging.py`, `crud/query/searching.py`, `crud/registry.py`, `crud/writing/creation.py` and
`crud/writing/deletion.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.db.models.signals import post_init, pre_save
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, ConfigDict

from crud.by_hand import by_hand, replaced
from crud.resources import (
    Caller,
    CompanySchema,
    EmployeeSchema,
    RateSchema,
    TeamSchema,
    api_of,
    caller,
    companies,
    tenant_of,
    visible,
)
from crud.serving import Api, ok, served
from djfast_mount import mount
from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ActionScopes, Call, Cursor, LimitOffset, ModelRouter, PageNumber, SoftDelete, every_row
from djfast_mount.crud.pages.paging import Paging
from djfast_mount.crud.registry import Registry
from djfast_mount.crud.routes import starting
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import Create, ModelSchema, Orm, Update
from djfast_mount.testing import Client
from project.companies.models import Company, CompanyDepartment, Employee, Label, Rate

FullText: Any = pytest.importorskip("djfast_mount.crud.full_text").FullText  # it needs psycopg

pytestmark = pytest.mark.django_db


def company(name: str, **values: Any) -> Company:
    return Company.objects.create(**{"name": name, "slug": f"c{Company.objects.count()}", "tenant_id": 1, **values})


def plain(**options: Any) -> ModelRouter:
    """The companies for everybody."""
    return ModelRouter(
        CompanySchema, **{"prefix": "/companies", "create": True, "update": True, "delete": True, **options}
    )


# Pages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "name"), [(LimitOffset(limit=2), "offset"), (PageNumber(limit=2), "page")])
def test_pages_by_number(root_path: str, page: Paging, name: str) -> None:
    """They are walked by `next` and by `Link`, forward and back."""
    for letter in "abcde":
        company(letter)
    client = Api(served(plain(page=page)), root_path)
    seen, following = [], None
    while True:
        answer = client.get("/companies", params={name: following} if following else {})
        found = ok(answer)
        seen.append("".join(item["name"] for item in found["items"]))
        if (following := found["next"]) is None:
            break
        assert answer.links["next"]["url"].endswith(f"{name}={following}")
    assert seen == ["ab", "cd", "e"]
    assert "next" not in answer.links
    assert "prev" in answer.links
    assert "first" in answer.links


def test_limits_of_a_page() -> None:
    """More than the most is 422, and the default is never more."""
    client = Api(served(plain(page=Cursor(max=2))))
    assert client.get("/companies?limit=3").status_code == 422
    assert client.get("/companies?limit=0").status_code == 422
    assert ok(client.get("/companies?limit=2"))["items"] == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's own search")
def test_full_text_search() -> None:
    """By choice PostgreSQL searches: by stems of words, with its operators."""
    for name in ("Running engines", "An engine runs", "A mill"):
        company(name)
    client = Api(served(plain(search=FullText("name", config="english"))))
    assert {item["name"] for item in ok(client.get("/companies?search=engine run"))["items"]} == {
        "Running engines",
        "An engine runs",
    }
    assert [item["name"] for item in ok(client.get("/companies?search=-engine"))["items"]] == ["A mill"]


def test_queries_of_a_list(django_assert_num_queries: Any) -> None:
    """A list takes one query and one for each relation to many; `total` and a parent in the path take one more."""
    for letter in "abc":
        company(letter).labels.add(Label.objects.create(name=letter, tenant_id=1))
    row = company("d")
    Employee.objects.create(name="x", company=row)
    client = Api(served(plain(children=[ModelRouter(EmployeeSchema, prefix="/employees")])))
    for path, queries in (
        ("/companies", 1 + 2),
        ("/companies?total=true", 1 + 2 + 1),
        (f"/companies/{row.pk}/employees", 1 + 1),
    ):
        ok(client.get(path))
        with django_assert_num_queries(queries):
            ok(client.get(path))


def test_an_unknown_field_of_a_body() -> None:
    """It is ignored, unless a subclass of the body forbids it."""

    class Strict(Create[CompanySchema]):
        model_config = ConfigDict(extra="forbid")

    sent = {"name": "a", "slug": "a", "labels": [], "colour": "red"}
    assert ok(Api(served(plain())).post("/companies", json=sent), 201)["name"] == "a"
    refused = Api(served(plain(create=Strict))).post("/companies", json=sent)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "colour"])


# Keys ----------------------------------------------------------------------------------------------------------------


def test_a_slug_in_the_path(root_path: str) -> None:
    """A row is named by a unique field, in its children's paths too; `Location` has it."""
    row = company("a")
    employees = ModelRouter(EmployeeSchema, prefix="/employees", create=True)
    client = Api(served(plain(lookup="slug", children=[employees])), root_path)
    assert ok(client.get(f"/companies/{row.slug}"))["id"] == row.pk
    made = client.post("/companies", json={"name": "b", "slug": "new-slug", "labels": []})
    assert made.headers["location"] == f"{root_path}/api/companies/new-slug"
    assert ok(client.post(f"/companies/{row.slug}/employees", json={"name": "x"}), 201)["company"] == row.pk
    assert client.get("/companies/none/employees").status_code == 404


def test_a_composite_key(root_path: str) -> None:
    """A row of a composite key is named by all parts of it, and pages and bulk changes know it too."""
    for year in (2024, 2025, 2026):
        Rate.objects.create(country="a/b", year=year, percent=year)
        Rate.objects.create(country="ü", year=year)
    router = ModelRouter(RateSchema, prefix="/rates", create=True, update=True, delete=True, filters="all")
    client = Api(served(router), root_path)
    assert ok(client.get("/rates/ü/2024"))["percent"] is None
    assert client.get("/rates/ü/2020").status_code == 404
    seen, cursor = [], ""
    while cursor is not None:
        found = ok(client.get("/rates", params={"limit": 2, "cursor": cursor, "order_by": "percent"}))
        seen += [(item["country"], item["year"]) for item in found["items"]]
        cursor = found["next"]
    assert len(seen) == len(set(seen)) == 6
    made = client.post("/rates", json={"country": "z", "year": 1, "percent": 1.5})
    assert ok(made, 201)["year"] == 1
    assert made.headers["location"] == f"{root_path}/api/rates/z/1"
    changes = [{"country": "ü", "year": 2024, "percent": 3}, {"country": "z", "year": 1, "percent": 4}]
    assert [item["percent"] for item in ok(client.patch("/rates", json=changes))] == [3, 4]
    assert client.delete("/rates/z/1").status_code == 204
    assert client.get("/rates/z/1").status_code == 404


def test_a_composite_key_stays() -> None:
    """A part of a key that is sent in a change is no change of the key: it is left alone, as a primary key is."""
    Rate.objects.create(country="a", year=1)
    client = Api(served(ModelRouter(RateSchema, prefix="/rates", update=True)))
    for method in ("PATCH", "PUT"):
        found = ok(client.request(method, "/rates/a/1", json={"country": "b", "year": 2, "percent": 5}))
        assert found == {"country": "a", "year": 1, "percent": 5}
    assert client.patch("/rates", json=[{"country": "b", "year": 1, "percent": 6}]).status_code == 422
    assert list(Rate.objects.values_list("country", "year", "percent")) == [("a", 1, 5)]


# Hooks and routes by hand --------------------------------------------------------------------------------------------


def test_hooks_by_overriding(root_path: str) -> None:
    """A subclass says which rows there are, and what is done to one; a coroutine does too."""

    class Companies(ModelRouter):
        def queryset(self, call: Call) -> QuerySet[Any]:
            return Company.objects.exclude(name="hidden")

        async def create_row(self, call: Call, body: Any) -> Any:  # type: ignore[override]
            return await body.acreate(size=42)

        def delete_row(self, call: Call, row: Any) -> None:
            row.name = "hidden"
            row.save()

    for asynchronous in (False, True):
        Company.objects.all().delete()
        router = Companies(CompanySchema, prefix="/companies", create=True, delete=True, asynchronous=asynchronous)
        client = Api(served(router), root_path)
        made = ok(client.post("/companies", json={"name": "a", "slug": "a", "labels": []}), 201)
        assert made["size"] == 42
        assert client.delete(f"/companies/{made['id']}").status_code == 204
        assert Company.objects.get().name == "hidden"
        assert client.get(f"/companies/{made['id']}").status_code == 404


def test_hooks_by_functions() -> None:
    """A function takes the place of a method, and may call it."""

    def create_row(call: Call, body: Any) -> Any:
        row = ModelRouter.create_row(router, call, body)
        row.size = 7  # type: ignore[attr-defined]
        row.save()
        return row

    router = plain(hooks={"create_row": create_row})
    client = Api(served(router))
    assert ok(client.post("/companies", json={"name": "a", "slug": "a", "labels": []}), 201)["size"] == 7
    with pytest.raises(ConfigurationError, match="hooks= has 'created'"):
        plain(hooks={"created": create_row})


def test_routes_by_hand(root_path: str) -> None:
    """They have the access, the filters and the row of the router, and a fixed path is none of a row's."""
    client = Api(served(by_hand()), root_path)
    own, foreign = company("own", slug="own"), company("foreign", slug="foreign", tenant_id=2)
    own.employees.create(name="e")
    foreign.employees.create(name="f")
    assert ok(client.get("/companies/export")) == ["own"]
    assert ok(client.get("/companies/export?status=paused")) == []
    assert client.get("/companies/export?statu=paused").status_code == 422
    assert client.get("/companies/export", headers={"X-Token": "x"}).status_code == 401
    assert client.get("/companies/export", headers={"X-Token": "1:create"}).status_code == 403
    assert ok(client.post("/companies/own/close")) == "paused"
    assert client.post("/companies/own/close", headers={"X-Token": "1:read"}).status_code == 403
    assert client.post("/companies/foreign/close").status_code == 404
    assert client.get("/companies/foreign/unlooked").status_code == 404
    assert ok(client.get("/companies/own/unlooked")) == "own"
    assert ok(client.delete("/companies/everything")) == "gone"
    assert client.delete("/companies/everything", headers={"X-Token": "1:update"}).status_code == 403
    assert ok(client.get("/companies/own/employees/names")) == ["e"]
    assert client.get("/companies/foreign/employees/names").status_code == 404


def test_one_route_is_replaced_or_left_out() -> None:
    """A route of one's own takes the place of the one with its path and method; `without` leaves one out."""
    row = company("a")
    client = Api(served(replaced()))
    assert ok(client.get(f"/companies/{row.pk}")) == "mine: a"
    assert client.get("/companies").status_code == 405
    assert ok(client.patch(f"/companies/{row.pk}", json={"name": "b"}))["name"] == "b"


# Who may -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def users(root_path: str) -> Iterator[Client]:
    router = plain(security=CurrentUser, permissions="django")
    with Client(mount("/api", api_of(router)), root_path=root_path) as client:
        yield client


def allow(user: User, *names: str) -> User:
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return User.objects.get(pk=user.pk)


def test_djangos_permissions(users: Client) -> None:
    """Each action wants the model's permission; a row that one may not even view is not there."""
    row, user = company("a"), User.objects.create_user("ada")
    assert users.get("/api/companies").status_code == 401
    users.force_login(user)
    assert users.get("/api/companies").status_code == 403
    assert users.get(f"/api/companies/{row.pk}").status_code == 404
    assert users.patch(f"/api/companies/{row.pk}", json={}).status_code == 404
    users.force_login(allow(user, "view_company"))
    assert users.get("/api/companies").status_code == 403, "departments are nested"
    users.force_login(allow(user, "view_company", "view_companydepartment"))
    assert ok(users.get("/api/companies"))["items"][0]["id"] == row.pk
    assert users.patch(f"/api/companies/{row.pk}", json={"name": "b"}).status_code == 403
    assert users.post("/api/companies", json={"name": "b", "slug": "b", "labels": []}).status_code == 403
    users.force_login(allow(user, "view_company", "change_company", "add_company", "delete_company"))
    assert ok(users.patch(f"/api/companies/{row.pk}", json={"name": "b"}))["name"] == "b"
    assert users.post("/api/companies", json={"name": "b", "slug": "b", "labels": []}).status_code == 201
    assert users.delete(f"/api/companies/{row.pk}").status_code == 204


class OnlyItsOwner:
    """A backend of object permissions."""

    def authenticate(self, request: Any, **credentials: Any) -> None: ...

    def has_perm(self, user: Any, name: str, obj: Any = None) -> bool:
        return getattr(obj, "name", None) == user.username


class FlatCompany(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name", "size"]


def test_permissions_on_one_row(settings: Any) -> None:
    """A backend may allow an action on one row that the model's permission does not."""
    router = ModelRouter(FlatCompany, prefix="/companies", update=True, security=CurrentUser, permissions="django")
    users = Client(mount("/api", api_of(router)))
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, f"{__name__}.OnlyItsOwner"]
    own, other = company("ada"), company("bob")
    users.force_login(User.objects.create_user("ada"), backend="django.contrib.auth.backends.ModelBackend")
    assert ok(users.get(f"/api/companies/{own.pk}"))["name"] == "ada"
    assert ok(users.patch(f"/api/companies/{own.pk}", json={"size": 1}))["size"] == 1
    assert users.get(f"/api/companies/{other.pk}").status_code == 404


def test_a_write_may_not_leave_what_one_sees() -> None:
    """A row that is written out of the caller's own rows is 403, and nothing is written."""
    row = company("a")
    router = plain(rows=lambda: Q(size__isnull=True), related_rows={Label: every_row})
    client = Api(served(router))
    assert client.patch(f"/companies/{row.pk}", json={"size": 5}).status_code == 403
    assert client.post("/companies", json={"name": "b", "slug": "b", "size": 5, "labels": []}).status_code == 403
    assert list(Company.objects.values_list("name", "size")) == [("a", None)]


def test_dependencies_can_be_overridden() -> None:
    """Tests replace `security`, `rows` and `server_values` as any other dependency."""

    company("a", tenant_id=2)
    api = api_of(companies())
    api.dependency_overrides[caller] = lambda: Caller(2, frozenset(["read", "create"]))
    client = Client(mount("/api", api))
    assert [item["name"] for item in ok(client.get("/api/companies"))["items"]] == ["a"]
    api.dependency_overrides[visible] = lambda: Q(tenant_id=3)
    assert ok(client.get("/api/companies"))["items"] == []
    api.dependency_overrides[tenant_of] = lambda: {"tenant_id": 3}
    made = ok(client.post("/api/companies", json={"name": "b", "slug": "b", "labels": []}), 201)
    assert Company.objects.get(pk=made["id"]).tenant_id == 3


def test_parameters_of_other_dependencies() -> None:
    """Query parameters of dependencies, the router's and those of its inclusion, are known."""

    def wanted(q: str = "", limit_of: int = 0) -> None: ...

    def included(tenant: str = "") -> None: ...

    api = FastAPI()
    api.include_router(plain(dependencies=[Depends(wanted)]), dependencies=[Depends(included)])
    client = Client(mount("/api", api))
    assert client.get("/api/companies?q=x&limit_of=1&tenant=y").status_code == 200
    assert client.get("/api/companies?x=x").status_code == 422


def test_cache_control() -> None:
    """What is read has the header that was asked for; what is written has not."""
    row = company("a")
    client = Api(served(plain(cache_control="no-cache")))
    for path in ("/companies", f"/companies/{row.pk}", "/companies/aggregate/count/*"):
        assert client.get(path).headers["cache-control"] == "no-cache"
        assert client.head(path).headers["cache-control"] == "no-cache"
    assert "cache-control" not in client.patch(f"/companies/{row.pk}", json={}).headers


def test_if_match_is_required() -> None:
    """By choice a change without If-Match is 428, and several rows are not changed in one call."""
    row = company("a")
    client = Api(served(plain(if_match="required")))
    assert client.patch(f"/companies/{row.pk}", json={"name": "b"}).status_code == 428
    assert client.delete(f"/companies/{row.pk}").status_code == 428
    assert client.patch("/companies", json=[{"id": row.pk, "name": "b"}]).status_code == 405
    assert Company.objects.get().name == "a"
    tag = client.get(f"/companies/{row.pk}").headers["etag"]
    assert client.delete(f"/companies/{row.pk}", headers={"If-Match": tag}).status_code == 204


def test_without_mount() -> None:
    """A bare FastAPI serves it too."""
    company("a")
    client = Client(api_of(plain(asynchronous=True)))
    assert [item["name"] for item in ok(client.get("/companies"))["items"]] == ["a"]
    assert "/companies/{company_id}" in ok(client.get("/openapi.json"))["paths"]


def test_filters_can_be_hidden() -> None:
    """By choice filters are not in OpenAPI, and work."""
    company("a", size=1)
    client = Api(served(plain(document_filters=False)))
    operation = ok(client.get("/openapi.json"))["paths"]["/companies"]["get"]
    assert {each["name"] for each in operation["parameters"]} <= {"order_by", "limit", "cursor", "total", "Prefer"}
    assert ok(client.get("/companies?size=2"))["items"] == []
    assert len(ok(client.get("/companies?size=1"))["items"]) == 1


def test_every_parameter_is_in_openapi() -> None:
    """Lists and aggregates have theirs beside those of the path, children's too, each operation an id of its own."""
    paths = api_of(companies()).openapi()["paths"]
    for path in ("/companies/{company_id}/departments", "/companies/aggregate/{function}/{field}"):
        names = [each["name"] for each in paths[path]["get"]["parameters"]]
        assert {"size__gte", "limit", *re.findall(r"{(\w+)}", path)} <= set(names)
        assert len(names) == len(set(names))
    ids = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    assert {"list_companies", "read_company", "create_company_department", "bulk_update_company_employees"} <= set(ids)


def test_it_only_reads_unasked() -> None:
    """A router of a schema alone has nothing that writes."""
    methods = {method for route in ModelRouter(CompanySchema, prefix="/c").routes for method in route.methods}  # type: ignore[attr-defined]
    assert methods == {"GET", "HEAD"}


# Mistakes ------------------------------------------------------------------------------------------------------------


class TwoOwners(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "name"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"order_by": ["nam"]}, "Did you mean 'name'"),
        ({"order_by": ["nam"]}, "ModelRouter(CompanySchema, prefix='/companies'): "),
        ({"search": ["nam"]}, "names 'nam', and Company has no such field. Did you mean 'name'?"),
        ({"lookup": "slag"}, "Did you mean 'slug'?"),
        ({"lookup": "zzz"}, "The unique fields are "),
        ({"prefix": "companies"}, 'Write a path, as in prefix="/companies"'),
        ({"prefix": "/companies/"}, "must begin with"),
        ({"prefix": ""}, "must begin with"),
        ({"prefix": None}, "must begin with"),
        ({"children": ["x"]}, "children= got 'x'. Give a list of ModelRouters"),
        ({"children": [APIRouter()]}, "Give a list of ModelRouters"),
        ({"children": ModelRouter(EmployeeSchema, prefix="/employees")}, "Give a list of ModelRouters"),
        ({"children": 5}, "children= got 5"),
        ({"children": [ModelRouter(EmployeeSchema, prefix="/e", parent="compny")]}, "Did you mean 'company'?"),
        ({"search": ["department__name"]}, "has no relation 'department'"),
        ({"search": ["owner"]}, "search= names 'owner' of Company, which has no text. It leads to another row"),
        ({"search": ["departments__company"]}, "'company' of CompanyDepartment, which has no text."),
        ({"search": ["labels"]}, "name a field of that one, as in labels__name."),
        ({"search": ["nmae"]}, "search= names 'nmae', and Company has no such field. Did you mean 'name'?"),
        ({"search": FullText("nmae")}, "search= names 'nmae', and Company has no such field. Did you mean 'name'?"),
        ({"search": FullText("owner")}, "search= names 'owner' of Company, which has no text."),
        ({"filters": ["nam"]}, "Did you mean 'name'"),
        ({"lookup": "name"}, "no unique field"),
        ({"delete": SoftDelete(state="x")}, "has no such field. Did you mean 'status'?"),
        ({"delete": SoftDelete(departments="x")}, "has no such field"),
        ({"delete": SoftDelete(status="gone")}, "Company.status does not accept the value. Value 'gone' is not"),
        ({"delete": SoftDelete(status="gone")}, "It accepts 'open', 'paused', 'closed'."),
        ({"delete": SoftDelete(size="none")}, "Company.size does not accept the value"),
        ({"delete": SoftDelete(founded=5)}, "Company.founded does not accept the value"),
        ({"delete": SoftDelete(name="x" * 1000)}, "at most"),
        ({"delete": SoftDelete(name=None)}, "cannot be null"),
        ({"delete": SoftDelete(listed="closed")}, "Company.listed does not accept the value"),
        ({"delete": SoftDelete(created=timezone.now)}, "Name a field with null=True"),
        ({"security": 5}, "security= got 5"),
        ({"create": "yes"}, "create= got 'yes'. Write True, False, or a class of bodies, a subclass of Create"),
        ({"delete": SoftDelete}, "SoftDelete'>. Write True, False, or what DELETE does, as in delete=SoftDelete("),
        ({"delete": "soft"}, "delete= got 'soft'"),
        ({"delete": {"status": "closed"}}, "delete= got {'status': 'closed'}"),
        ({"if_match": True}, "if_match= got True. Write one of 'off', 'optional', 'required'."),
        ({"if_match": "require"}, "if_match= got 'require'"),
        ({"without": ["lst"]}, "without= names 'lst', and there is no such route. Did you mean 'list'?"),
        ({"without": "list"}, """without= got 'list'. Write a list of routes, as in without=["list"]. They are"""),
        ({"page": Cursor}, "Make a Cursor, a LimitOffset or a PageNumber, as in page=Cursor("),
        ({"page": 50}, "page= got 50"),
        ({"scopes": {"read": ["x"]}}, "scopes= got {'read': ['x']}. Write them for each action"),
        ({"permissions": "Django"}, """permissions= got 'Django'. Write permissions="django\""""),
        ({"permissions": True}, "permissions= got True"),
        ({"rows": Q()}, "Give a function that returns a Q, as in rows="),
        ({"related_rows": {Label: Q()}}, "Give a function that returns a Q for each model"),
        ({"related_rows": every_row}, "as in related_rows={Label: every_row}"),
        ({"server_values": {"size": 1}}, "server_values= got {'size': 1}. Give a function that returns a dict."),
        ({"filters": "name"}, """filters= got 'name'. Write "default", "all", or a list of names"""),
        ({"search": "name"}, "search= got 'name'. Write a list of names"),
        ({"order_by": "name"}, "order_by= got 'name'. Write a list of names"),
        ({"aggregate": "size"}, "aggregate= got 'size'. Write True, False, or a list of names"),
        ({"group_by": "size"}, "group_by= got 'size'. Write a list of names"),
        ({"group_by": ["status"], "aggregate": False}, "aggregate=False leaves the numbers out"),
        ({"document_filters": "no"}, "document_filters= got 'no'. Write True or False."),
        ({"form": "yes"}, "form= got 'yes'"),
        ({"asynchronous": 1}, "asynchronous= got 1"),
        ({"max_file_size": "5MB"}, "max_file_size= got '5MB'. Write a number of bytes from 1 on"),
        ({"max_file_size": 0}, "max_file_size= got 0"),
        ({"cache_control": 60}, "cache_control= got 60. Write the value of the header"),
        ({"cache_control": "no-store\r\nX-Own: 1"}, "cache_control= got"),
        ({"name": "my company"}, "name= got 'my company'. Write a name"),
        ({"name": ""}, "name= got ''"),
        ({"parent": ["company"]}, "parent= got ['company']"),
        ({"hooks": ["create_row"]}, "hooks= got ['create_row']. Give a function for each method"),
        ({"hooks": {"create_row": "create"}, "create": True}, "hooks= got {'create_row': 'create'}"),
        ({"hooks": {"create_row": print}, "create": False}, "hooks= has 'create_row', which nothing calls."),
        ({"hooks": {"search_rows": print}, "search": []}, "Switch on search="),
        ({"children": [ModelRouter(RateSchema, prefix="/rates")]}, "Rate is to be a child of Company, and has no"),
        ({"children": [ModelRouter(TeamSchema, prefix="/teams")]}, "include its router in the API by itself"),
    ],
)
def test_mistakes(options: dict[str, Any], told: str) -> None:
    """They are told when the router is made, with what to write."""
    with pytest.raises(ConfigurationError) as caught:
        plain(**options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"aggregate": ["siz"]}, "aggregate= names 'siz', of which nothing can be measured. Did you mean 'size'?"),
        ({"aggregate": ["name"]}, "aggregate= names 'name', of which nothing can be measured."),
        ({"group_by": ["statsu"]}, "group_by= names 'statsu', by which rows cannot be grouped. Did you mean 'status'?"),
    ],
)
def test_mistakes_of_numbers(options: dict[str, Any], told: str) -> None:
    """They are told when the routes are made."""
    with pytest.raises(ConfigurationError) as caught:
        api_of(plain(**options))
    assert told in str(caught.value)


class OwnName(Update[CompanySchema]):
    pass


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"create": CompanySchema}, "create= got <class"),
        ({"create": CompanySchema}, "Give a subclass of Create, as in class Body(Create[CompanySchema]): ..."),
        ({"create": BaseModel}, "create= got <class 'pydantic.main.BaseModel'>"),
        ({"create": Update[CompanySchema]}, "create= got "),
        ({"update": Create[CompanySchema]}, "Give a subclass of Update"),
        ({"replace": Create[CompanySchema]}, "replace= got "),
        (
            {"create": Create[EmployeeSchema]},
            "a body of Employee, and the rows are of Company. Give a body of a schema",
        ),
        ({"update": Update[EmployeeSchema]}, "a body of Employee"),
    ],
)
def test_mistakes_of_bodies(options: dict[str, Any], told: str) -> None:
    """A body of another kind, or of another model, is told when the routes are made."""
    with pytest.raises(ConfigurationError) as caught:
        api_of(plain(**options))
    assert told in str(caught.value)


def test_bodies_that_fit() -> None:
    """A subclass of the right kind does, and where a hook of the project's takes it a body of any schema."""
    api_of(plain(update=OwnName, replace=OwnName))
    hooks = {
        "create_row": lambda call, body: company(body.name),
        "replace_row": lambda call, row, body: body.replace(row),
    }
    api_of(plain(create=Create[EmployeeSchema], replace=Create[CompanySchema], hooks=hooks))
    assert "put" in api_of(plain(replace=None)).openapi()["paths"]["/companies/{company_id}"]


def test_an_action_that_there_is_not() -> None:
    """It is told when the dependency is made."""
    with pytest.raises(ConfigurationError, match=r"got 'delte', which is no action\. Did you mean 'delete'"):
        plain().allowing("delte")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"max": "50"}, {"max": 0}, {"limit": 0}, {"limit": None}])
def test_mistakes_of_a_page(options: dict[str, Any]) -> None:
    """Its numbers are whole, and from 1 on."""
    for kind in (Cursor, LimitOffset, PageNumber):
        with pytest.raises(ConfigurationError, match="Write an integer from 1 on"):
            kind(**options)


@pytest.mark.parametrize("name", ["read", "create", "update", "delete", "list", "aggregate", "replace"])
def test_a_text_is_no_list_of_scopes(name: str) -> None:
    """A text in the place of a list is refused, as any letter of it would be enough."""
    for value in ("a.read", {"a.read": True}, 5):
        with pytest.raises(ConfigurationError, match=rf"got {name}=.*\. Write a list, as in {name}="):
            ActionScopes(**{name: value})
    assert ActionScopes(**{name: ("a.read",)}).some()


def test_a_parent_of_a_router_that_is_no_child() -> None:
    """`parent` says something of a child alone: elsewhere it is an error when the routes are made."""
    departments = ModelRouter(DepartmentRow, prefix="/departments", parent="company")
    with pytest.raises(ConfigurationError, match=r"parent= names 'company', and the router is no child of another"):
        _ = departments.routes
    employees = ModelRouter(EmployeeRow, prefix="/employees", parent="company", create=True)
    # No routes of a child are made before it has its parent.
    assert ModelRouter(PlainCompany, prefix="/companies", children=[departments, employees]).routes


def test_a_required_field_that_is_in_no_body() -> None:
    """Where a schema leaves it out, creating is an error at the start, as where it is read-only."""
    with pytest.raises(ConfigurationError, match=r"'company', which is required and not in the schema.*add it to the"):
        _ = ModelRouter(DepartmentRow, prefix="/departments", create=True).routes
    assert ModelRouter(DepartmentRow, prefix="/departments", update=True).routes
    assert ModelRouter(DepartmentRow, prefix="/departments", create=True, server_values=lambda: {"company": 1}).routes


@isolate_apps("project.companies")
def test_a_required_field_that_django_sets() -> None:
    """The place in `order_with_respect_to`, and the key to the row of a parent class, need no value from anybody."""

    class Shelf(models.Model):
        class Meta:
            app_label = "companies"

    class Folder(models.Model):
        shelf = models.ForeignKey(Shelf, models.CASCADE)

        class Meta:
            app_label = "companies"
            order_with_respect_to = "shelf"

    class Drawer(Shelf):
        code = models.CharField(max_length=9, primary_key=True)
        shelf = models.OneToOneField(Shelf, models.CASCADE, parent_link=True)

        class Meta:
            app_label = "companies"

    assert created_by(Folder, "shelf").routes
    assert created_by(Drawer, "code").routes


@isolate_apps("project.companies")
def test_a_required_field_that_code_of_the_model_may_set() -> None:
    """Where a project has written what creating a row calls, or listens to it, the field may be set there."""

    class Numbered(models.Model):
        name = models.CharField(max_length=9)
        number = models.IntegerField()

        class Meta:
            app_label = "companies"

    def changed(name: str) -> type[models.Model]:
        whole = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "companies", "proxy": True})}
        made = type(name.strip("_").title().replace("_", ""), (Numbered,), {**whole, name: lambda self, **given: None})
        assert issubclass(made, models.Model)
        return made

    with pytest.raises(ConfigurationError, match="nothing sets the field 'number'"):
        _ = created_by(Numbered, "name").routes
    for name in ("__init__", "clean_fields", "clean", "full_clean", "save", "save_base"):
        assert created_by(changed(name), "name").routes
    for signal in (post_init, pre_save):
        signal.connect(changed, sender=Numbered)
        try:
            assert created_by(Numbered, "name").routes
        finally:
            signal.disconnect(changed, sender=Numbered)


def created_by(model: type[models.Model], *names: str) -> ModelRouter:
    meta = type("Meta", (), {"fields": names})
    schema: Any = type("Row", (ModelSchema[model],), {"__module__": __name__, "Meta": meta})  # type: ignore[valid-type]
    return ModelRouter(schema, prefix="/rows", create=True)


class DepartmentRow(ModelSchema[CompanyDepartment]):
    class Meta:
        fields = ["id", "name"]


class EmployeeRow(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "name"]


class PlainCompany(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]


def test_a_required_field_that_nothing_sets() -> None:
    """Where it is read-only, creating is an error at the start, until server_values or a hook may set it."""

    class Elsewhere(ModelSchema[Employee]):
        class Meta:
            fields = ["id", "name", "company"]
            read_only = ["company"]

    def router(**options: Any) -> ModelRouter:
        return ModelRouter(Elsewhere, prefix="/employees", **options)

    with pytest.raises(ConfigurationError, match=r"ModelRouter\(.*nothing sets the field 'company'"):
        api_of(router(create=True))
    api_of(
        router(update=True),
        router(create=True, server_values=lambda: {"company_id": 1}),
        router(create=True, hooks={"create_row": lambda call, body: body.create(company_id=1)}),
        plain(children=[router(create=True)]),
    )


def test_marks_that_fit() -> None:
    """Any value that the field can hold is a mark: a choice, none, a blank text, a function if it may be null."""
    for marks in ({"status": Company.Status.CLOSED}, {"size": None}, {"name": ""}, {"founded": timezone.now}):
        plain(delete=SoftDelete(**marks))


class DatedCompany(ModelSchema[Company]):
    opened: Annotated[date | None, Orm("founded")]
    owner: PlainCompany | None

    class Meta:
        fields = ["id", "name"]


def test_any_filter_of_the_mark_asks_for_deleted_rows() -> None:
    """A range, a part and an opposite do, whatever the schema calls the field, and a key that is the mark does."""
    here = company("here")
    company("gone", founded=date(2020, 5, 1), owner=here)
    for mark, queries in (
        (
            {"founded": timezone.now},
            ("opened__gte=2020-05-01", "opened__year=2020", "!opened__lte=2020-04-30", "opened=2020-05-01"),
        ),
        ({"owner": lambda: here}, (f"owner__id={here.pk}", "owner__isnull=false", "!owner__isnull=true")),
    ):
        client = Api(served(ModelRouter(DatedCompany, prefix="/companies", filters="all", delete=SoftDelete(**mark))))
        assert [each["name"] for each in ok(client.get("/companies"))["items"]] == ["here"]
        for query in queries:
            assert "gone" in [each["name"] for each in ok(client.get(f"/companies?{query}"))["items"]], query
            assert ok(client.get(f"/companies/aggregate/count/*?{query}"))["values"][0]["value"] > 0
        for query in ("name=gone", "order_by=-opened", "total=true", "!name=here"):
            assert "gone" not in [each["name"] for each in ok(client.get(f"/companies?{query}"))["items"]]


def test_other_mistakes() -> None:
    """So are a schema that is none, an argument that there is not, and a rule that is no Q."""
    with pytest.raises(ConfigurationError, match="Give a schema of a model"):
        ModelRouter(Company)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Did you mean 'security'"):
        ModelRouter(CompanySchema, securty=None)  # type: ignore[call-arg]
    client = Api(served(plain(rows=lambda: True, related_rows={Label: every_row})))
    with pytest.raises(ConfigurationError, match="Return a Q"):
        client.get("/companies")


def test_functions_that_return_something_else() -> None:
    """A queryset for rows= is refused without a query, and so is what is no mapping for server_values=."""
    asked = Api(served(plain(rows=Company.objects.all, related_rows={Label: every_row})))
    with CaptureQueriesContext(connection) as queries, pytest.raises(ConfigurationError, match="a QuerySet of Company"):
        asked.get("/companies")
    assert len(queries) == 0
    for wrong in (lambda: None, lambda: "tenant"):
        client = Api(served(plain(server_values=wrong)))
        with pytest.raises(ConfigurationError, match=r"server_values= returned .*Return a dict"):
            client.post("/companies", json={"name": "a", "slug": "a", "tenant": 1})
    assert not Company.objects.exists()


def test_rows_without_a_rule() -> None:
    """Where there are rules, a body that can name rows of a model without one is refused: by `mount()`, by the lifespan
    of an app without `mount()`, and with the first call if there is neither."""
    told = r"related_rows={Label: \.\.\.}"
    with pytest.raises(ConfigurationError, match=told):
        served(plain(rows=every_row))
    with pytest.raises(RuntimeError, match=told), Client(api_of(plain(rows=every_row))):
        pass
    with pytest.raises(ConfigurationError, match=told):
        Client(api_of(plain(rows=every_row))).get("/companies")


def test_rows_without_a_rule_though_no_router_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FastAPI renames what holds an included router, `mount()` finds none, and start and first call refuse."""
    monkeypatch.setattr(starting, "included_router", lambda route: None)
    told = r"related_rows={Label: \.\.\.}"
    with pytest.raises(RuntimeError, match=told), Client(served(plain(rows=every_row))):
        pass
    with pytest.raises(ConfigurationError, match=told):
        Client(served(plain(rows=every_row))).get("/api/companies")


def test_double_registration() -> None:
    """Two routers at one prefix are an error, and one that is registered is served."""
    registry = Registry()
    registry.register(plain())
    with pytest.raises(ConfigurationError, match="Two routers are registered at '/companies'"):
        registry.register(plain())
    api = FastAPI()
    registry.include_in(api.router, prefix="/v1")
    assert ok(Client(mount("/api", api)).get("/api/v1/companies"))["items"] == []
