"""If-Match and If-None-Match, as RFC 9110 says of every method.

Holds `crud/writing/etags.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crud.resources import CompanySchema, caller, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import ModelSchema, Orm
from project.companies.models import Company

pytestmark = pytest.mark.django_db


class Guarded(ModelSchema[Company]):
    """Shows a field to those callers alone who have a scope."""

    size: Annotated[int | None, Orm(read_scopes=["read"])]

    class Meta:
        fields = ["id", "name", "slug"]


def client_of(**options: Any) -> Api:
    shared: dict[str, Any] = {"security": caller, "rows": visible, "update": True, "delete": True}
    return Api(served(ModelRouter(Guarded, prefix="/companies", **shared, **options)))


@pytest.fixture
def path() -> str:
    return f"/companies/{Company.objects.create(name='a', slug='a', size=5).pk}"


WHOLE = {"name": "b", "slug": "a"}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_a_change_of_a_row_that_must_not_be_there(path: str, method: str, asynchronous: bool) -> None:
    """If-None-Match that names the row, `*` or its tag strong or weak, is 412 to a change; another tag lets it pass."""
    body = None if method == "DELETE" else WHOLE
    with client_of(asynchronous=asynchronous) as client:
        tag = client.get(path).headers["etag"]
        for sent in ("*", tag, f"W/{tag}", f'"other", {tag}'):
            answer = client.request(method, path, json=body, headers={"If-None-Match": sent})
            assert (answer.status_code, answer.headers["etag"]) == (412, tag)
        assert ok(client.get(path))["name"] == "a"
        assert client.request(method, path, json=body, headers={"If-None-Match": '"other"'}).status_code in (200, 204)


def test_if_none_match_needs_no_less() -> None:
    """It is ignored where If-Match is, and stands in for it nowhere."""
    rows = [Company.objects.create(name="a", slug=slug) for slug in "ab"]
    with client_of(if_match="off") as client:
        ok(client.patch(f"/companies/{rows[0].pk}", json={}, headers={"If-None-Match": "*"}))
    with client_of(if_match="required") as client:
        assert client.patch(f"/companies/{rows[1].pk}", json={}, headers={"If-None-Match": '"x"'}).status_code == 428


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_the_tag_is_that_of_the_caller(path: str, method: str) -> None:
    """A caller who is shown a guarded field changes and deletes the row by the tag that GET gave."""
    with client_of() as client:
        tag = client.get(path).headers["etag"]
        answer = client.request(method, path, json=None if method == "DELETE" else WHOLE, headers={"If-Match": tag})
        assert answer.status_code in (200, 204), answer.text


def test_tags_in_several_fields(path: str) -> None:
    """Header fields of one name are one list, wherever the tag stands in it."""
    with client_of() as client:
        tag = client.get(path).headers["etag"]
        token = ("X-Token", "1")
        for tags in (['"x"', tag], [tag, '"x"'], ['"x", "y"', f'"z",{tag}']):
            assert client.get(path, headers=[token, *(("If-None-Match", each) for each in tags)]).status_code == 304
            changed = client.patch(path, json={}, headers=[token, *(("If-Match", each) for each in tags)])
            assert changed.status_code == 200
        assert client.patch(path, json={}, headers=[token, ("If-Match", '"x"'), ("If-Match", '"y"')]).status_code == 412


def test_a_tag_that_is_ignored_costs_nothing(path: str, django_assert_num_queries: Any) -> None:
    """With `if_match="off"`, a change that sends the header anyway takes the queries of one that does not."""
    row = Company.objects.get()
    row.departments.create(name="x", size=1)
    client = Api(served(ModelRouter(CompanySchema, prefix="/companies", update=True, if_match="off")))
    departments = ok(client.get(path))["departments"]
    with CaptureQueriesContext(connection) as plain:
        ok(client.patch(path, json={"departments": departments}))
    with django_assert_num_queries(len(plain)):
        ok(client.patch(path, json={"departments": departments}, headers={"If-Match": '"old"'}))
