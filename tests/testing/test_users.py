"""Users, sessions and CSRF checks in `djfast_mount.testing.Client`, shared with Django's own test client.

Holds `testing/cookies.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client as DjangoClient
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.auth import OptionalUser
from djfast_mount.testing import Client
from testing_project.items_api import cookie

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("pages")]
api = FastAPI()
api.get("/cookie")(cookie)


@api.get("/whoami")
def whoami(user: OptionalUser) -> str:
    return str(user)


@api.post("/whoami")
def whoami_unsafely(user: OptionalUser) -> str:
    return str(user)


root = mount("/api", api)


@pytest.fixture
def pages(settings: Any) -> None:
    settings.ROOT_URLCONF = "testing_project.item_pages"


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", password="lovelace")


@pytest.fixture
def django_client() -> DjangoClient:
    return DjangoClient()


@pytest.fixture
def client(root_path: str, django_client: DjangoClient) -> Iterator[Client]:
    client = Client(root, root_path=root_path, django_client=django_client)
    yield client
    client.close()


def seen_by(client: Client) -> list[str]:
    """Who the two halves take the client for."""
    return [client.get("/api/whoami").json(), client.get("/whoami/").text]


def test_force_login_and_logout(client: Client, user: User) -> None:
    """Both halves know the user from force_login() to logout()."""
    assert seen_by(client) == ["None", "AnonymousUser"]
    client.force_login(user)
    assert seen_by(client) == ["ada", "ada"]
    client.logout()
    assert seen_by(client) == ["None", "AnonymousUser"]


def test_login_checks_the_password(client: Client, user: User) -> None:
    """login() says whether the credentials were right."""
    assert not client.login(username="ada", password="byron")
    assert client.login(username="ada", password="lovelace")
    assert seen_by(client) == ["ada", "ada"]


def test_djangos_client_logs_ours_in(client: Client, django_client: DjangoClient, user: User) -> None:
    """Whoever logs in with Django's client is logged in with ours, and out again."""
    django_client.force_login(user)
    assert seen_by(client) == ["ada", "ada"]
    django_client.logout()
    assert seen_by(client) == ["None", "AnonymousUser"]


def test_our_client_logs_djangos_in(client: Client, django_client: DjangoClient, user: User) -> None:
    """And the other way round."""
    client.force_login(user)
    assert django_client.get("/whoami/").content == b"ada"
    client.logout()
    assert django_client.get("/whoami/").content == b"AnonymousUser"


def test_cookies_of_other_hosts_stay_with_us(client: Client, django_client: DjangoClient) -> None:
    """What another host has set in our client, as after a redirect to it, is not handed to Django's."""
    client.cookies.set("theirs", "1", domain="other.example")
    client.cookies.set("ours", "1", domain="testserver.local")
    client.get("/api/whoami")
    assert set(django_client.cookies) == {"ours"}


def test_one_session(client: Client, django_client: DjangoClient) -> None:
    """Visits by either client count in one session, which the test can read."""
    assert [client.get("/count/").text, django_client.get("/count/").text, client.get("/count/").text] == list("123")
    assert client.session["visits"] == 3


def test_cookies_go_both_ways(client: Client, django_client: DjangoClient) -> None:
    """A cookie of the API reaches Django's client; one that is changed or deleted there is so here too."""
    client.get("/api/cookie")
    assert django_client.cookies["flavour"].value == "vanilla"
    django_client.cookies["flavour"] = "mint"
    assert client.get("/api/cookie").json() == {"flavour": "mint"}
    assert client.get("/api/cookie").json() == {"flavour": "vanilla"}
    del django_client.cookies["flavour"]
    assert client.get("/api/cookie").json() == {}
    client.cookies.clear()
    client.get("/whoami/")
    assert "flavour" not in django_client.cookies


def test_the_tests_own_cookies_stay(client: Client, django_client: DjangoClient) -> None:
    """A cookie that the test sets on the client is sent, and shared."""
    client.cookies.set("flavour", "lemon")
    assert client.get("/api/cookie").json() == {"flavour": "lemon"}
    assert client.get("/api/cookie").json() == {"flavour": "vanilla"}


def test_csrf_tokens_are_not_asked_for(client: Client, user: User) -> None:
    """As with Django's client, an unsafe request needs no token, in either half."""
    client.force_login(user)
    assert client.post("/form/").text == "POST accepted"
    assert client.post("/api/whoami").json() == "ada"


def test_csrf_tokens_are_checked_on_demand(root_path: str, user: User) -> None:
    """With enforce_csrf_checks both halves refuse an unsafe request without a token, and take one with it."""
    with Client(root, root_path=root_path, enforce_csrf_checks=True) as client:
        client.force_login(user)
        assert client.post("/form/").status_code == 403
        assert client.post("/api/whoami").status_code == 403
        client.cookies.set("csrftoken", "a" * 32)
        token = {"X-CSRFToken": "a" * 32}
        assert client.post("/form/", headers=token).text == "POST accepted"
        assert client.post("/api/whoami", headers=token).json() == "ada"
