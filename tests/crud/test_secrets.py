"""What is hidden stays hidden: by no filter, order, search, number, cursor or tag can it be found out.

Holds `crud/declaring/exposure_of_schema.py` and `schemas/declaring/kept_back.py`.
"""

from __future__ import annotations

import base64
import zlib
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import Permission, User
from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    SecretStr,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from crud.resources import CompanySchema, DepartmentItem, EmployeeSchema, caller, companies
from crud.serving import Api, ok, served
from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ActionScopes, LimitOffset, ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema, Orm
from djfast_mount.schemas.declaring.kept_back import kept_back
from project.companies.models import Company, CompanyDepartment, Employee

pytestmark = pytest.mark.django_db


class MaskedSchema(ModelSchema[Company]):
    size: Annotated[int | None, Orm(Company.size, read_scopes=["size"])]
    rating: Annotated[Any, Orm(Company.rating, read_scopes=["size"])]
    departments: list[DepartmentItem]

    class Meta:
        fields = ["id", "name"]
        name = "Masked"


def company(**values: Any) -> Company:
    return Company.objects.create(**{"name": "a", "slug": f"c{Company.objects.count()}", "tenant_id": 1, **values})


def masked(**options: Any) -> Api:
    scopes = ActionScopes(read=["read"])
    return Api(served(ModelRouter(MaskedSchema, prefix="/masked", security=caller, scopes=scopes, **options)))


def test_masked_fields_cannot_be_asked() -> None:
    """What a schema shows to some callers alone is no filter, order, number, group or page of anybody's."""
    client, row = masked(filters="all"), company(size=5)
    url = "/masked"
    for params in ({"size": 5}, {"size__gte": 5}, {"!size": 5}, {"order_by": "size"}, {"rating__isnull": "true"}):
        assert client.get(url, params=params).status_code == 422, params
    for path in ("/aggregate/sum/size", "/aggregate/max/rating", "/aggregate/count/*?size__sum__gte=1"):
        assert client.get(url + path).status_code == 422, path
    shown = ok(client.get(f"{url}/{row.pk}", **client.of("1:read,size")))
    assert shown["size"] == 5
    assert ok(client.get(f"{url}/{row.pk}", **client.of("1:read")))["size"] != 5


def test_tags_do_not_tell() -> None:
    """The tag of a row is the same before and after a change of what the caller does not see."""
    client, row = masked(), company(size=5)
    path, hidden, shown = f"/masked/{row.pk}", client.of("1:read"), client.of("1:read,size")
    before = [client.get(path, **each).headers["etag"] for each in (hidden, shown)]
    Company.objects.update(size=6)
    after = [client.get(path, **each).headers["etag"] for each in (hidden, shown)]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_masked_fields_cannot_be_searched() -> None:
    """To search in what some callers alone may see is refused at the start."""
    with pytest.raises(ConfigurationError, match=r"search= names 'size', which MaskedSchema shows to some callers"):
        masked(search=["name", "size"])


@pytest.mark.parametrize(
    "options", [{"scopes": ActionScopes(read=["payroll"])}, {"security": caller}, {"permissions": "django"}]
)
def test_children_that_ask_for_more(options: dict[str, Any]) -> None:
    """What is shown at a child alone, to those who may read it, is no filter, order or number of the parent's."""
    employees = ModelRouter(EmployeeSchema, prefix="/employees", **options)
    client, row = Api(served(companies(children=[employees], related_rows={}, update=False, create=False))), company()
    row.employees.create(name="ada", salary=5)
    for name in ("employees__salary__gte", "employees__name", "employees__count", "employees__salary__sum__gte"):
        assert client.get("/companies", params={name: "5"}).status_code == 422
    for path in ("/companies/aggregate/count/employees", "/companies?order_by=employees__count"):
        assert client.get(path).status_code == 422


def test_children_with_permissions() -> None:
    """With permissions="django" the rows of a child are found by those who may view them."""
    user = User.objects.create_user("ada")
    names = ["view_company", "view_companydepartment"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="companies"))
    employees = ModelRouter(EmployeeSchema, prefix="/employees")
    options = {"security": CurrentUser, "permissions": "django", "filters": "all", "children": [employees]}
    client, row = Api(served(ModelRouter(CompanySchema, prefix="/companies", **options))), company()
    row.employees.create(name="ada", salary=5)
    client.force_login(user)
    assert ok(client.get("/companies"))["items"]
    assert client.get(f"/companies/{row.pk}/employees").status_code == 403
    assert client.get("/companies", params={"employees__name": "ada"}).status_code == 422


def test_children_that_ask_for_nothing_more(api: Api) -> None:
    """Children that take over what their parent asks for can be filtered by."""
    row = company()
    row.employees.create(name="ada", salary=5)
    [found] = ok(api.get("/companies", params={"employees__name": "ada"}))["items"]
    assert found["id"] == row.pk
    assert Employee.objects.count() == 1
    assert CompanyDepartment.objects.count() == 0


# What Pydantic hides --------------------------------------------------------------------------------------------------


class WithName(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name", "secret"]


def hidden(value: Any) -> str:
    return "***"


class Excluded(WithName):
    secret: str = Field(exclude=True)


class ExcludedIf(WithName):
    secret: str = Field(exclude_if=bool)


class Secret(WithName):
    secret: SecretStr


class Serialized(WithName):
    @field_serializer("secret")
    def _mask(self, value: str) -> str:
        return "***"


class SerializedAll(WithName):
    @field_serializer("*")
    def _mask(self, value: Any) -> str:
        return "***"


class SerializedByType(WithName):
    secret: Annotated[str, PlainSerializer(hidden)] | None


class ValidatedByType(WithName):
    secret: Annotated[str, AfterValidator(hidden)]


class Validated(WithName):
    @field_validator("secret")
    @classmethod
    def _mask(cls, value: str) -> str:
        return "***"


class SerializedWhole(WithName):
    @model_serializer
    def _mask(self) -> dict[str, Any]:
        return {"id": self.id, "name": "***", "secret": "***"}  # type: ignore[attr-defined]


class ValidatedWhole(WithName):
    @model_validator(mode="after")
    def _mask(self) -> Any:
        self.secret = "***"
        return self


class AfterInit(WithName):
    def model_post_init(self, context: Any) -> None:
        self.secret = "***"


class MaskedInside(WithName):
    secret: Annotated[str, Orm(read_scopes=["hr"])] | None


HIDING = [
    *(Excluded, ExcludedIf, Secret, Serialized, SerializedAll, SerializedByType, ValidatedByType, Validated),
    *(SerializedWhole, ValidatedWhole, AfterInit, MaskedInside),
]


def in_the_clear(cursor: str) -> str:
    """What anybody can read in a cursor."""
    payload = cursor.split(":", maxsplit=1)[0]
    packed = payload.startswith(".")
    raw = base64.urlsafe_b64decode(payload.lstrip(".") + "=" * (-len(payload.lstrip(".")) % 4))
    return (zlib.decompress(raw) if packed else raw).decode()


@pytest.mark.parametrize("schema", HIDING)
def test_what_pydantic_hides_cannot_be_asked(schema: Any) -> None:
    """What a schema excludes, or changes by code of a project's, is no filter, order or number, and in no cursor."""
    company(secret="hunter2")
    company(name="b", secret="other")
    client = Api(served(ModelRouter(schema, prefix="/rows", filters="all")))
    assert "hunter2" not in client.get("/rows").text
    for query in ("secret=hunter2", "secret__icontains=hun", "!secret=other", "order_by=secret", "group_by=secret"):
        assert client.get(f"/rows?{query}").status_code == 422, query
    for path in ("max/secret", "count/*?group_by=secret", "count/*?secret=hunter2"):
        assert client.get(f"/rows/aggregate/{path}").status_code == 422, path
    cursor = ok(client.get("/rows?limit=1"))["next"]
    assert "hunter2" not in in_the_clear(cursor)
    assert "secret" not in str(ok(client.get("/openapi.json"))["paths"]["/rows"]["get"]["parameters"])


def test_what_is_hidden_has_no_parameter(asynchronous: bool, root_path: str) -> None:
    """A hidden value has no parameter at coroutines either, nor behind an outer prefix, and a cursor has none of it."""
    company(secret="hunter2")
    company(name="b", secret="other")
    client = Api(served(ModelRouter(Serialized, prefix="/rows", filters="all", asynchronous=asynchronous)), root_path)
    assert client.get("/rows?order_by=secret").status_code == client.get("/rows?secret=hunter2").status_code == 422
    assert "hunter2" not in in_the_clear(ok(client.get("/rows?order_by=name&limit=1"))["next"])


@pytest.mark.parametrize("schema", HIDING)
@pytest.mark.parametrize("options", [{"order_by": ["-secret"]}, {"filters": ["secret"]}, {"filters": ["secret__in"]}])
def test_what_pydantic_hides_is_refused_at_the_start(schema: Any, options: dict[str, Any]) -> None:
    """To order or filter by what a schema hides is an error at the start, which says what to do."""
    with pytest.raises(ConfigurationError, match=r"'secret\w*', and the schema keeps that value back.* Take it out"):
        ModelRouter(schema, prefix="/rows", **options)


def test_a_key_that_is_hidden_is_in_no_cursor() -> None:
    """Where paths have another name than the key, and the schema hides the key, there are no cursors."""

    class KeyHidden(ModelSchema[Company]):
        id: int = Field(exclude=True)

        class Meta:
            fields = ["slug"]

    with pytest.raises(ConfigurationError, match=r"page=Cursor\(\) names 'id'"):
        ModelRouter(KeyHidden, prefix="/rows", lookup="slug")
    ModelRouter(KeyHidden, prefix="/rows", lookup="slug", page=LimitOffset())


def test_nested_values_that_are_hidden_cannot_be_asked() -> None:
    """What a nested schema hides is no filter, order or number of the outer list."""

    class Owned(ModelSchema[Company]):
        owner: Serialized | None
        subsidiaries: list[Excluded]

        class Meta:
            fields = ["id", "name"]

    client = Api(served(ModelRouter(Owned, prefix="/rows", filters="all")))
    ok(client.get("/rows?owner__name=a&subsidiaries__name=a"))
    for query in ("owner__secret=x", "subsidiaries__secret=x", "subsidiaries__secret__max=x", "order_by=owner__secret"):
        assert client.get(f"/rows?{query}").status_code == 422, query


def test_what_pydantic_only_checks_can_be_asked() -> None:
    """Constraints, and types that Pydantic knows, hide nothing."""

    class Checked(ModelSchema[Company]):
        name: Annotated[str, Field(max_length=60, description="Its name.")]
        rating: Annotated[Any, Field(ge=0)]
        slug: Annotated[str, Field(pattern="^[a-z]")] | None = None

        class Meta:
            fields = ["id", "status", "founded", "created", "listed"]

    assert kept_back(Checked) == kept_back(WithName) == frozenset()
    assert kept_back(CompanySchema) == frozenset()
    client = Api(served(ModelRouter(Checked, prefix="/rows", filters="all")))
    ok(client.get("/rows?name__icontains=a&rating__gte=1&slug=a&status=open&order_by=name&order_by=-rating"))
