"""Writes behind a router that reads from a replica: one database alone is asked, the one that is written.

Holds what `crud/access/call_dependency.py` says of databases, and `Call.using`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from crud.resources import CompanySchema, DepartmentItem, companies
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import Create, ModelSchema, Update
from djfast_mount.tokens.access import access_of
from djfast_mount.tokens.models import APIToken
from project.companies.models import Company, CompanyDepartment, Employee, Label
from project.zoo.models import Feeding

pytestmark = pytest.mark.django_db(databases=["default", "replica"])


class ReadsFromTheReplica:
    """The router of Django's documentation, with one replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, one: Any, two: Any, **hints: Any) -> bool:
        return True


@pytest.fixture(scope="module")
def second_database(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    made = copy.deepcopy(connections["default"].settings_dict)
    name = f"{made['NAME']}_replica"
    connections.settings["replica"] = {**made, "NAME": name, "TEST": {**made["TEST"], "NAME": name}}
    with django_db_blocker.unblock():
        connections["replica"].creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        yield
        connections["replica"].creation.destroy_test_db(name, verbosity=0)
        connections["replica"].close()
    del connections["replica"], connections.settings["replica"]


@pytest.fixture
def replica(second_database: None, db: None, settings: Any) -> str:
    settings.DATABASE_ROUTERS = [ReadsFromTheReplica()]
    return "replica"


def company(**values: Any) -> Company:
    """A company of which the replica has an old state."""
    row = Company.objects.create(**{"name": "new", "slug": "a", "tenant_id": 1, **values})
    Company(pk=row.pk, name="old", slug="a", tenant_id=1, created=row.created).save(using="replica", force_insert=True)
    return row


def stored(row: Any) -> Any:
    return type(row)._base_manager.using("default").get(pk=row.pk)


def open_client(**options: Any) -> Api:
    """Companies without a rule, so that nothing but the writing itself chooses a database."""
    every = {"create": True, "update": True, "delete": True, **options}
    return Api(served(ModelRouter(CompanySchema, prefix="/companies", **every)))


def rows_asked(queries: CaptureQueriesContext) -> list[str]:
    """The queries that asked for rows. Django's `full_clean()` asks whether there are any, by `db_for_read`."""
    return [each["sql"] for each in queries.captured_queries if not each["sql"].startswith("SELECT 1 ")]


@pytest.mark.parametrize("ruled", [False, True], ids=["open", "ruled"])
def test_every_write_asks_one_database(replica: str, ruled: bool, root_path: str) -> None:
    """Rows that the replica has not got are created, changed, replaced and deleted, with what is nested; it is asked
    for none of them."""
    client = Api(served(companies()), root_path) if ruled else open_client()
    label = Label.objects.create(name="l", tenant_id=1)
    body = {"name": "a", "slug": "a", "labels": [label.pk], "departments": [{"name": "d"}]}
    with CaptureQueriesContext(connections[replica]) as queries:
        made = ok(client.post("/companies", json=body), 201)
        path = f"/companies/{made['id']}"
        assert ok(client.patch(path, json={"name": "b"}))["name"] == "b"
        assert ok(client.put(path, json={**body, "departments": [{"name": "e"}]}))["departments"][0]["name"] == "e"
        assert [each["slug"] for each in ok(client.post("/companies/bulk", json=[{**body, "slug": "c"}]), 201)] == ["c"]
        assert ok(client.patch("/companies", json=[{"id": made["id"], "name": "f"}]))[0]["name"] == "f"
        assert client.delete(path).status_code == 204
    assert rows_asked(queries) == []
    assert Company.objects.using(replica).count() == 0


def test_children_below_a_row_that_is_new(replica: str) -> None:
    """The parent in the path is looked up where the child is written."""
    client = Api(served(companies()))
    path = f"/companies/{Company.objects.create(name='a', slug='a', tenant_id=1).pk}/departments"
    made = ok(client.post(path, json={"name": "d"}), 201)
    assert ok(client.patch(f"{path}/{made['id']}", json={"size": 3}))["size"] == 3
    assert client.delete(f"{path}/{made['id']}").status_code == 204


def test_an_etag_of_an_old_row(replica: str) -> None:
    """The ETag that a replica has given is compared with the row that is written: 412, and nothing is lost."""
    client, row = open_client(), company()
    path = f"/companies/{row.pk}"
    old = client.get(path)
    assert old.json()["name"] == "old"
    for method in ("PATCH", "DELETE"):
        answer = client.request(method, path, json={"name": "mine"}, headers={"If-Match": old.headers["ETag"]})
        assert answer.status_code == 412
    assert stored(row).name == "new"
    assert ok(client.patch(path, json={"name": "mine"}, headers={"If-Match": answer.headers["ETag"]}))["name"] == "mine"


def test_a_rule_holds_where_is_written(replica: str) -> None:
    """A row that has moved to another tenant is not written by way of the replica, which still shows it."""
    row = company(tenant_id=2)
    client = Api(served(companies()))
    assert client.get(f"/companies/{row.pk}").status_code == 200
    for method in ("PATCH", "DELETE"):
        assert client.request(method, f"/companies/{row.pk}", json={"name": "mine"}).status_code == 404
    assert client.patch("/companies", json=[{"id": row.pk, "name": "mine"}]).status_code == 422
    assert stored(row).name == "new"


def test_a_hook_that_chooses_a_database(replica: str) -> None:
    """A queryset() that says using(), or prefetches, chooses for reading. A write locks and answers what it writes."""

    def queryset(call: Any) -> QuerySet[Company]:
        return Company.objects.using(replica).prefetch_related("departments")

    client, row = open_client(hooks={"queryset": queryset}), company()
    row.departments.create(name="d")
    path = f"/companies/{row.pk}"
    assert ok(client.get(path))["departments"] == []
    assert [each["name"] for each in ok(client.patch(path, json={"size": 3}))["departments"]] == ["d"]
    assert stored(row).size == 3


class EmployeeWithDepartment(ModelSchema[Employee]):
    department: DepartmentItem | None

    class Meta:
        fields = ["id", "name"]
        nested = ["department"]


def test_a_nested_row_that_a_foreign_key_leads_to(replica: str) -> None:
    """It is changed as it is where it is written, not as the replica has it."""
    row = company()
    department = row.departments.create(name="d", size=1)
    CompanyDepartment(pk=department.pk, company_id=row.pk, name="d", size=5).save(using=replica, force_insert=True)
    employee = row.employees.create(name="e", department=department)
    client = Api(served(ModelRouter(EmployeeWithDepartment, prefix="/employees", update=True)))
    body = {"department": {"id": department.pk, "name": "d", "size": 5}}
    assert ok(client.patch(f"/employees/{employee.pk}", json=body))["department"]["size"] == 5
    assert stored(department).size == 5


class FeedingSchema(ModelSchema[Feeding]):
    class Meta:
        fields = ["id", "day", "keeper", "slot", "twice"]


def test_what_the_database_makes(replica: str) -> None:
    """Columns that the database fills are read back from where the row was saved."""
    row = Create[FeedingSchema](day=date(2024, 1, 1), keeper="k", slot=2).create()
    assert row.twice == 4
    assert Update[FeedingSchema](slot=3).update(row).twice == 6


def test_tokens_are_written_where_is_written(replica: str, django_user_model: Any) -> None:
    """A token that is issued, used and revoked behind a replica has its row, its use and its end in the database that
    is written, and the replica gets none of them."""
    ada = django_user_model.objects.create_user("ada")
    token, text = APIToken.objects.issue(ada, "script", ["a"])
    assert (APIToken.objects.using("default").count(), APIToken.objects.using(replica).count()) == (1, 0)
    # What replication brings.
    for row in (ada, token):
        copy.copy(row).save(using=replica, force_insert=True)
    access = access_of(text)
    assert access is not None
    assert access.scopes == {"a"}
    assert [stored(token).last_used is None, APIToken.objects.using(replica).get().last_used] == [False, None]
    assert APIToken.objects.filter(pk=token.pk).revoke() == 1
    assert [stored(token).revoked is None, APIToken.objects.using(replica).get().revoked] == [False, None]
