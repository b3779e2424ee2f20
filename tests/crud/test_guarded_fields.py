"""Fields that some callers may neither see nor set: by no form of a write are they set, reset or lost.

Holds `schemas/writing/slots.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile

from crud.resources import api_of, caller
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import Create, ModelSchema, Orm, Update
from project.companies.models import Company, CompanyDepartment, Document, Label

pytestmark = pytest.mark.django_db
NOBODY, ADMIN = "1:update", "1:update,admin,hr"


class OwnerSchema(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]
        name = "Owner"


class LabelSchema(ModelSchema[Label]):
    class Meta:
        fields = ["id", "name"]


class DepartmentSchema(ModelSchema[CompanyDepartment]):
    status: Annotated[str, Orm(write_scopes=["admin"])]

    class Meta:
        fields = ["id", "name"]


class Guarded(ModelSchema[Company]):
    listed: Annotated[bool, Orm(write_scopes=["admin"])]
    size: Annotated[int | None, Orm(critical=True)]
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "name", "slug", "listed", "size"]


class GuardedRelations(ModelSchema[Company]):
    owner: Annotated[OwnerSchema | None, Orm(write_scopes=["admin"])]
    labels: Annotated[list[LabelSchema], Orm(write_scopes=["admin"])]

    class Meta:
        fields = ["id", "name", "slug"]


class GuardedTwice(ModelSchema[Company]):
    """The key of a relation, beside the relation, whichever comes first."""

    owner: Annotated[OwnerSchema | None, Orm(write_scopes=["admin"])]

    class Meta:
        fields = ["owner_id", "name"]


class GuardedLists(ModelSchema[Company]):
    owner: Annotated[OwnerSchema | None, Orm(write_scopes=["admin"])]
    departments: Annotated[list[DepartmentSchema], Orm(write_scopes=["admin"])]

    class Meta:
        fields = ["id", "name"]
        nested = ["owner"]


class Masked(ModelSchema[Company]):
    secret: Annotated[str, Orm(read_scopes=["hr"])]
    size: Annotated[int | None, Orm(read_scopes=["hr"])]
    listed: Annotated[bool, Orm(read_scopes=["hr"])]
    owner: Annotated[OwnerSchema | None, Orm(read_scopes=["hr"])]

    class Meta:
        fields = ["id", "name", "slug"]


class GuardedDocument(ModelSchema[Document]):
    cover: Annotated[str, Orm(write_scopes=["admin"])]

    class Meta:
        fields = ["id", "title", "file"]


class ReadOnlyKey(ModelSchema[Company]):
    owner: OwnerSchema | None

    class Meta:
        fields = ["name", "owner_id"]
        read_only = ["owner_id"]


def api(schema: Any, asynchronous: bool = False, root_path: str = "", token: str = NOBODY, **options: Any) -> Api:
    router = ModelRouter(
        schema, prefix="/rows", security=caller, create=True, update=True, asynchronous=asynchronous, **options
    )
    return Api(served(router), root_path, token)


@pytest.fixture
def row() -> Company:
    owner = Company.objects.create(name="o", slug="o")
    row = Company.objects.create(name="a", slug="a", listed=True, size=5, secret="hunter2", owner=owner)
    row.labels.add(Label.objects.create(name="first"))
    row.departments.create(name="d", status="open")
    return row


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_field_that_may_not_be_set_is_not_reset(
    method: str, row: Company, asynchronous: bool, root_path: str
) -> None:
    """A change without the field leaves it as it is, and PUT too; with the field it is 403."""
    client, kept = api(Guarded, asynchronous, root_path), {"name": "b", "slug": "a"}
    for sent in ({"listed": False}, {"size": 1}, {"departments": [{"name": "d", "status": "x"}]}):
        assert client.request(method, f"/rows/{row.pk}", json={**kept, **sent}).status_code == 403, sent
    assert client.patch("/rows", json=[{"id": row.pk, "listed": False}]).status_code == 403
    ok(client.request(method, f"/rows/{row.pk}", json=kept))
    row.refresh_from_db()
    assert (row.name, row.listed, row.size, row.departments.get().status) == ("b", True, 5, "open")


def test_who_may_set_a_field_resets_it(row: Company) -> None:
    """PUT of a caller who may set the field gives it its default."""
    ok(api(Guarded, token=ADMIN).put(f"/rows/{row.pk}", json={"name": "b", "slug": "a"}))
    row.refresh_from_db()
    assert (row.listed, row.size) == (False, 5)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_the_key_of_a_guarded_relation_is_guarded(
    method: str, row: Company, asynchronous: bool, root_path: str
) -> None:
    """A relation with write scopes that is shown nested is not set by its key, and not by keys of a many-to-many."""
    client, kept = api(GuardedRelations, asynchronous, root_path), {"name": "a", "slug": "a"}
    label = Label.objects.create(name="l")
    for sent in ({"owner_id": None}, {"labels": [label.pk]}, {"labels": []}):
        assert client.request(method, f"/rows/{row.pk}", json={**kept, **sent}).status_code == 403, sent
        new = {"name": "n", "slug": "n", **sent}
        assert client.post("/rows", json=new).status_code == 403, sent
        assert client.post("/rows/bulk", json=[new]).status_code == 403, sent
    ok(client.request(method, f"/rows/{row.pk}", json=kept))
    row.refresh_from_db()
    assert (row.owner is None, [each.name for each in row.labels.all()]) == (False, ["first"])
    ok(api(GuardedRelations, token=ADMIN).patch(f"/rows/{row.pk}", json={"owner_id": None, "labels": [label.pk]}))
    row.refresh_from_db()
    assert (row.owner, list(row.labels.all())) == (None, [label])


@pytest.mark.parametrize("schema", [GuardedTwice, GuardedLists])
def test_a_relation_is_guarded_in_each_form(schema: Any, row: Company) -> None:
    """A guard of a relation holds for a key that is declared beside it, and for bodies that are written through it."""
    for sent in ({"owner_id": None}, {"owner": {"name": "x"}}, {"owner": None}, {"departments": []}):
        if not {*sent} <= set(Update[schema].model_fields):
            continue
        assert api(schema).patch(f"/rows/{row.pk}", json=sent).status_code == 403, sent
    row.refresh_from_db()
    assert (row.owner.name, row.departments.count()) == ("o", 1)  # type: ignore[union-attr]


def test_a_key_that_is_read_only_is_not_written() -> None:
    """A key in Meta.read_only is in no body, though the relation beside it is shown nested."""
    assert set(Update[ReadOnlyKey].model_fields) == {"name"}


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_what_is_shown_in_place_of_a_field_is_not_written(
    method: str, row: Company, asynchronous: bool, root_path: str
) -> None:
    """What a caller was shown in the place of a field is 403 when it is sent back; left out, the field stays."""
    client = api(Masked, asynchronous, root_path)
    shown = ok(client.get(f"/rows/{row.pk}"))
    assert (shown.pop("id"), shown["secret"], shown["size"], shown["listed"]) == (row.pk, "\u2022" * 3, 0, False)
    kept = {"name": "b", "slug": "a"}
    masks = {**{name: shown[name] for name in ("secret", "size", "listed")}, "owner_id": shown["owner"]}
    for name, value in [*masks.items(), ("size", None)]:
        assert client.request(method, f"/rows/{row.pk}", json={**kept, name: value}).status_code == 403, name
    ok(client.request(method, f"/rows/{row.pk}", json=kept))
    row.refresh_from_db()
    assert (row.name, row.secret, row.size, row.listed, row.owner is None) == ("b", "hunter2", 5, True, False)
    ok(client.request(method, f"/rows/{row.pk}", json={**kept, "secret": "new", "listed": True}))
    ok(api(Masked, token=ADMIN).patch(f"/rows/{row.pk}", json={"listed": False, "owner_id": None, "size": 0}))
    row.refresh_from_db()
    assert (row.secret, row.size, row.listed, row.owner) == ("new", 0, False, None)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_guarded_file_stays(method: str, asynchronous: bool, settings: Any, tmp_path: Path) -> None:
    """A form without the guarded file leaves it, and one that takes it away is 403."""
    settings.MEDIA_ROOT = tmp_path
    document = Document.objects.create(title="t")
    document.file.save("a.txt", ContentFile(b"a"))
    Document.objects.update(cover="covers/a.png")
    client = api(GuardedDocument, asynchronous, form=True)
    whole: dict[str, Any] = {"data": {"title": "u"}, "files": {"file": ("b.txt", b"b")}}
    cleared = {**whole, "data": {"title": "u", "cover-clear": "true"}}
    assert client.request(method, f"/rows/{document.pk}", **cleared).status_code == 403
    ok(client.request(method, f"/rows/{document.pk}", **whole))
    document.refresh_from_db()
    assert (document.title, document.cover.name) == ("u", "covers/a.png")


def test_a_replacement_in_code_of_your_own(row: Company) -> None:
    """`Create.replace()` leaves what the caller may not set or see, and without a caller all that is guarded."""
    for schema in (Guarded, GuardedRelations, Masked):
        Create[schema].model_validate({"name": "b", "slug": "a"}).replace(row)  # type: ignore[type-var]
    row.refresh_from_db()
    assert (row.listed, row.size, row.secret, row.owner is None) == (True, 5, "hunter2", False)
    with pytest.raises(PermissionDenied, match=r"body\.secret has what is shown to a caller who may not see it"):
        Update[Masked].model_validate({"secret": "\u2022" * 3}).update(row)


def test_what_is_refused_without_a_caller_is_documented() -> None:
    """Without `security`, nobody may set a guarded field: 403, which OpenAPI tells of every write."""
    row = Company.objects.create(name="a", slug="a")
    router = ModelRouter(Guarded, prefix="/companies", create=True, update=True, delete=True)
    writes = ("post", "put", "patch", "delete")
    told = [
        operation["responses"]
        for methods in api_of(router).openapi()["paths"].values()
        for method, operation in methods.items()
        if method in writes
    ]
    assert len(told) == 6
    assert all("403" in each for each in told)
    with Api(served(router)) as client:
        assert client.patch(f"/companies/{row.pk}", json={"listed": True}).status_code == 403
