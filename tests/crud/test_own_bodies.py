"""Bodies of a project's own in the place of those that a router makes."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import MISSING, ConfigDict, Field, field_validator

from crud.resources import CompanySchema
from crud.serving import Api, served
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import Update
from project.companies.models import Company

pytestmark = pytest.mark.django_db


def company(name: str) -> Company:
    return Company.objects.create(tenant_id=1, name=name, slug=name.lower())


class OwnChange(Update[CompanySchema]):
    """A change that a project checks: by a constraint, by a validator and by its configuration."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str | MISSING, Field(min_length=3)] = MISSING  # type: ignore[valid-type]

    @field_validator("name")
    @classmethod
    def is_no_shout(cls, value: Any) -> Any:
        if value is not MISSING and value.isupper():
            raise ValueError("Do not shout.")
        return value


REFUSED = [
    ({"name": "LOUD"}, "Value error, Do not shout."),
    ({"name": "x"}, "String should have at least 3 characters"),
    ({"name": "Acme", "nothing": 1}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("sent", "told"), REFUSED)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_put_is_checked_as_patch_is(root_path: str, method: str, sent: dict[str, Any], told: str) -> None:
    """A body of the project's own for changes checks whole rows too: no caller gets past it by another method."""
    row = company("Before")
    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", update=OwnChange)), root_path)
    whole = {**client.get(f"/companies/{row.pk}").json(), **sent} if method == "PUT" else sent
    whole.pop("id", None)
    whole = {name: value for name, value in whole.items() if name in OwnChange.model_fields or name in sent}
    answer = client.request(method, f"/companies/{row.pk}", json=whole)
    assert answer.status_code == 422, answer.text
    assert [each["msg"] for each in answer.json()["detail"]] == [told]
    row.refresh_from_db()
    assert row.name == "Before"


def test_a_whole_row_wants_what_a_new_one_wants(root_path: str) -> None:
    """PUT by such a body wants what it must have, and takes the rest."""
    row = company("Before")
    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", update=OwnChange)), root_path)
    answer = client.request("PUT", f"/companies/{row.pk}", json={})
    assert ["body", "name"] in [each["loc"] for each in answer.json()["detail"]]
    shown = client.get(f"/companies/{row.pk}").json()
    whole = {name: value for name, value in shown.items() if name in OwnChange.model_fields}
    answer = client.request("PUT", f"/companies/{row.pk}", json={**whole, "name": "After"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "After"
