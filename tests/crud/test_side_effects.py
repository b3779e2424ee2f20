"""What a write does beside its own action: deletions by a mark or a nested list, and nested rows.

Holds `crud/writing/side_effects.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from crud.resources import SCOPES, CompanySchema, DepartmentSchema, TeamSchema, caller, companies
from crud.serving import Api, ok, served
from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ActionScopes, ModelRouter, SoftDelete, every_row
from project.companies.models import Company, Employee, Label

pytestmark = pytest.mark.django_db

OWN = ActionScopes(**{name: [f"departments-{name}"] for name in SCOPES})
MARK = SoftDelete(status="closed")


def company(**values: Any) -> Company:
    return Company.objects.create(**{"name": "a", "slug": f"c{Company.objects.count()}", "tenant_id": 1, **values})


def client_of(**options: Any) -> Api:
    """Companies whose departments are a resource with `options`."""
    every = {"prefix": "/departments", "create": True, "update": True, "delete": True, **options}
    rules = {Label: every_row, Employee: every_row}
    return Api(served(companies(children=[ModelRouter(DepartmentSchema, **every)], related_rows=rules)))


def whole(row: Company, **values: Any) -> dict[str, Any]:
    return {"name": row.name, "slug": row.slug, "labels": [], **values}


def test_a_mark_is_a_deletion(api: Api) -> None:
    """PATCH, PUT and a bulk change that set the mark of a soft deletion are 403 without the scope of DELETE."""
    row = company()
    path, mark = f"/companies/{row.pk}", {"status": "closed"}
    update = api.of("1:update,read")
    for headers, status in ((update, 403), (api.of("1:update,read,delete"), 200)):
        answers = [
            api.patch(path, json=mark, **headers),
            api.put(path, json=whole(row, **mark), **headers),
            api.patch("/companies", json=[{"id": row.pk, **mark}], **headers),
        ]
        assert [answers[0].status_code, *(each.status_code for each in answers[1:] if status == 403)] == (
            [403] * 3 if status == 403 else [200]
        )
        row.refresh_from_db()
        assert (row.status == "closed") == (status == 200)
    Company.objects.update(status="open")
    assert ok(api.patch(path, json={"status": "paused"}, **update))["status"] == "paused"


def test_a_mark_and_djangos_permissions() -> None:
    """With permissions="django" the mark needs the permission to delete."""
    user = User.objects.create_user("ada")
    router = ModelRouter(
        CompanySchema, prefix="/companies", update=True, delete=MARK, security=CurrentUser, permissions="django"
    )
    client, row = Api(served(router)), company()
    client.force_login(user)
    for name, status in (("change_company", 403), ("delete_company", 200)):
        user.user_permissions.add(Permission.objects.get(codename=name, content_type__app_label="companies"))
        assert client.patch(f"/companies/{row.pk}", json={"status": "closed"}).status_code == status


def test_a_nested_list_deletes() -> None:
    """An empty list of nested rows deletes them, so it needs the scope to delete them."""
    client, row = client_of(scopes=OWN), company()
    row.departments.create(name="d")
    path = f"/companies/{row.pk}"
    for method in ("PATCH", "PUT"):
        body = whole(row, departments=[])
        assert client.request(method, path, json=body, **client.of("1:update,replace")).status_code == 403
        assert client.patch("/companies", json=[{"id": row.pk, "departments": []}], **client.of("1:update")).is_error
    assert row.departments.count() == 1
    assert ok(client.patch(path, json={"departments": []}, **client.of("1:update,departments-delete")))
    assert row.departments.count() == 0


def test_nested_rows_are_made_and_changed() -> None:
    """A nested row needs what its own resource asks for to make it and to change it, and nothing if it stays."""
    client, row = client_of(scopes=OWN), company()
    department = row.departments.create(name="d", size=1)
    path = f"/companies/{row.pk}"
    same = {"id": department.pk, "name": "d", "size": 1}
    assert ok(client.patch(path, json={"departments": [same]}, **client.of("1:update")))
    for items, scope in (([{**same, "size": 2}], "update"), ([same, {"name": "e"}], "create")):
        body = {"departments": items}
        assert client.patch(path, json=body, **client.of("1:update")).status_code == 403
        assert ok(client.patch(path, json=body, **client.of(f"1:update,departments-{scope},departments-update")))
    made = {"name": "b", "slug": "b", "labels": [], "departments": [{"name": "f"}]}
    assert client.post("/companies", json=made, **client.of("1:create")).status_code == 403
    assert not Company.objects.filter(slug="b").exists()
    assert ok(client.post("/companies", json=made, **client.of("1:create,departments-create")), 201)


def test_what_comes_with_a_new_row(api: Api) -> None:
    """Children that take over their parent's scopes are made with it by whoever may make it."""
    made = {"name": "b", "slug": "b", "labels": [], "departments": [{"name": "f"}]}
    assert ok(api.post("/companies", json=made, **api.of("1:create")), 201)["departments"][0]["name"] == "f"


def test_put_alone_deletes_nothing_below() -> None:
    """Who may only replace a company does not change its departments: that needs the parent's scope to update."""
    scopes = ActionScopes(**{name: [name] for name in (*SCOPES, "replace")})
    departments = ModelRouter(DepartmentSchema, prefix="/departments", delete=True)
    client, row = Api(served(companies(scopes=scopes, children=[departments]))), company()
    row.departments.create(name="d")
    body = whole(row, departments=[])
    assert client.put(f"/companies/{row.pk}", json=body, **client.of("1:replace")).status_code == 403
    assert row.departments.count() == 1


def test_kept_rows_are_kept() -> None:
    """A nested row whose resource keeps deleted rows is not dropped by a list: 409."""
    client, row = client_of(delete=MARK, scopes=OWN), company()
    department = row.departments.create(name="d")
    path = f"/companies/{row.pk}"
    assert client.patch(path, json={"departments": []}).status_code == 409
    assert row.departments.count() == 1
    own = client.of("1:departments-delete,update")
    assert client.delete(f"{path}/departments/{department.pk}", **own).status_code == 204
    department.refresh_from_db()
    assert department.status == "closed"


def test_nested_permissions() -> None:
    """With permissions="django" a nested row needs the permission of its own model."""
    user = User.objects.create_user("ada")
    teams = ModelRouter(TeamSchema, prefix="/teams")
    router = ModelRouter(
        DepartmentSchema,
        prefix="/departments",
        update=True,
        security=CurrentUser,
        permissions="django",
        children=[teams],
    )
    client, department = Api(served(router)), company().departments.create(name="d")
    client.force_login(user)
    body = {"teams": [{"name": "t"}]}
    for name, status in (("change_companydepartment", 403), ("add_team", 200)):
        user.user_permissions.add(Permission.objects.get(codename=name, content_type__app_label="companies"))
        assert client.patch(f"/departments/{department.pk}", json=body).status_code == status
    assert department.teams.count() == 1


def test_a_child_with_security_alone() -> None:
    """Who writes the parent without a token does not write children that want one."""
    departments = ModelRouter(DepartmentSchema, prefix="/departments", update=True, security=caller, scopes=OWN)
    router = ModelRouter(CompanySchema, prefix="/companies", update=True, children=[departments])
    client, row = Api(served(router)), company()
    row.departments.create(name="d")
    assert client.patch(f"/companies/{row.pk}", json={"departments": []}).status_code == 403
    assert ok(client.patch(f"/companies/{row.pk}", json={"name": "b"}))["name"] == "b"


# Django's permissions, where a nested model has no resource of its own ------------------------------------------------


def user_client(*names: str) -> Api:
    """Companies for a user with the permissions `names`; their departments have no router."""
    user = User.objects.create_user("ada")
    user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="companies"))
    options = {"create": True, "update": True, "security": CurrentUser, "permissions": "django"}
    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", **options)))
    client.force_login(user)
    return client


COMPANY = ["view_company", "add_company", "change_company"]


@pytest.mark.parametrize("verb", ["add", "change", "delete"])
def test_permissions_of_nested_rows_without_a_resource(verb: str) -> None:
    """A nested row is made, changed and deleted with the permission of its model alone: else 403, and it stays."""
    row = company()
    department = row.departments.create(name="d", size=1)
    same = {"id": department.pk, "name": "d", "size": 1}
    items = {"add": [same, {"name": "e"}], "change": [{**same, "size": 2}], "delete": []}[verb]
    path, body = f"/companies/{row.pk}", {"departments": items}
    client = user_client(*COMPANY)
    for answer in (
        client.patch(path, json=body),
        client.put(path, json=whole(row, **body)),
        client.patch("/companies", json=[{"id": row.pk, **body}]),
    ):
        assert answer.status_code == 403
    assert list(row.departments.values_list("name", "size")) == [("d", 1)]
    assert client.patch(path, json={"departments": [same], "size": 3}).status_code == 200
    client.force_login(User.objects.create_superuser("boss"))
    assert client.patch(path, json=body).status_code == 200


def test_nested_rows_of_a_new_row_need_their_permission() -> None:
    """A row is created with nested rows by who may add these too."""
    client, made = user_client(*COMPANY), {"name": "b", "slug": "b", "labels": []}
    assert client.post("/companies", json={**made, "departments": [{"name": "f"}]}).status_code == 403
    assert not Company.objects.exists()
    assert client.post("/companies", json=made).status_code == 201


def test_nested_rows_are_shown_to_who_may_view_them() -> None:
    """Without the permission to view a nested model a list, a row and a number are 403."""
    row = company()
    client = user_client(*COMPANY)
    paths = ["/companies", f"/companies/{row.pk}", "/companies/aggregate/count/size"]
    assert [client.get(path).status_code for path in paths] == [403] * 3
    User.objects.all().delete()
    client = user_client(*COMPANY, "view_companydepartment")
    assert [client.get(path).status_code for path in paths] == [200] * 3
