"""What caches are told of answers that depend on the caller.

Holds `crud/routes/caching.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, Header
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer, OAuth2PasswordBearer

from crud.resources import CompanySchema
from crud.serving import Api, served
from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ModelRouter
from djfast_mount.crud.routes.caching import headers_read
from project.companies.models import Company

pytestmark = pytest.mark.django_db


def by_header(token: Annotated[str, Header(alias="X-Own")] = "a") -> str:
    return token


def by_cookie(token: Annotated[str, Cookie()] = "a") -> str:
    return token


def below(token: Annotated[str, Depends(by_header)], other: Annotated[Any, Depends(APIKeyHeader(name="X-Key"))]) -> str:
    return token


def client_of(root_path: str = "", **options: Any) -> Api:
    return Api(served(ModelRouter(CompanySchema, prefix="/companies", update=True, **options)), root_path)


def headers(client: Api) -> list[tuple[str | None, str | None]]:
    """Cache-Control and Vary of a list, of a row, of a number and of HEAD; those of the row when it is the same."""
    row = Company.objects.create(name="a", slug="a")
    sent = {"X-Key": "a", "Authorization": "Bearer a", "Cookie": "key=a"}
    path = f"/companies/{row.pk}"
    answers = [client.get(each, headers=sent) for each in ("/companies", path, "/companies/aggregate/count/size")]
    answers += [client.head(path, headers=sent)]
    answers += [client.get(path, headers={**sent, "If-None-Match": answers[1].headers["ETag"]})]
    assert [each.status_code for each in answers] == [200, 200, 200, 200, 304]
    return [(each.headers.get("Cache-Control"), each.headers.get("Vary")) for each in answers]


@pytest.mark.parametrize(
    ("security", "vary"),
    [
        (APIKeyHeader(name="X-Key"), "X-Key"),
        (APIKeyCookie(name="key"), "Cookie"),
        (HTTPBearer(), "Authorization"),
        (OAuth2PasswordBearer("token"), "Authorization"),
        (by_header, "X-Own"),
        (by_cookie, "Cookie"),
        (below, "X-Own, X-Key"),
    ],
)
def test_an_answer_varies_by_the_caller(security: Any, vary: str, root_path: str) -> None:
    """Vary names the headers that say who calls, and the answer is for the caller's own cache."""
    found = headers(client_of(root_path, security=security, cache_control="max-age=60"))
    assert {each for each, _ in found} == {"private, max-age=60"}
    assert all(name in (told or "") for _, told in found for name in vary.split(", "))


@pytest.mark.parametrize("cache_control", ["public, max-age=60", "Private", "no-store", "max-age=1, s-maxage=9"])
def test_who_may_keep_it_can_be_said(cache_control: str) -> None:
    """A project that says who may keep an answer is not overruled."""
    found = headers(client_of(security=by_header, cache_control=cache_control))
    assert {each for each, _ in found} == {cache_control}


def test_without_a_caller() -> None:
    """Where nobody is asked who they are, the header is as it was given, and there is no Vary."""
    assert set(headers(client_of(cache_control="max-age=60"))) == {("max-age=60", None)}
    Company.objects.all().delete()
    assert set(headers(client_of())) == {(None, None)}


def test_a_key_in_the_query_is_no_header() -> None:
    """The URL says who calls then, and caches keep answers by it."""
    assert headers_read(APIKeyQuery(name="key")) == []


def test_a_scheme_of_ours_says_it_once() -> None:
    """Behind `CurrentUser` no name is in Vary twice."""
    client = client_of(security=CurrentUser)
    names = [each.strip().lower() for each in client.get("/companies").headers["Vary"].split(",")]
    assert "cookie" in names
    assert len(names) == len(set(names))
