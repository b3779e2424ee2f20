"""What is hidden stays hidden: by no filter, order, search, number or tag can it be found out.

Holds `crud/declaring/exposure_of_schema.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from django.contrib.auth.models import Permission, User

from crud.resources import CompanySchema, DepartmentItem, EmployeeSchema, caller, companies
from crud.serving import Api, ok, served
from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ActionScopes, ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema, Orm
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
    user.user_permissions.add(Permission.objects.get(codename="view_company", content_type__app_label="companies"))
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
