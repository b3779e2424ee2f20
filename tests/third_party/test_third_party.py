"""Apps of others beneath `mount()`: each does on Django's half, and for the API, what it does in Django alone."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client as DjangoClient
from django.test import override_settings
from guardian.shortcuts import assign_perm

from djfast_mount.testing import Client
from djfast_mount.testing.live_server import LiveServer
from third_party.shelf.models import Book

PASSWORD = "correct horse"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
TOKEN = "t" * 32  # as long as a CSRF secret
pytestmark = pytest.mark.django_db

in_both_kinds = pytest.mark.parametrize("kind", ["def", "async"])


@pytest.fixture
def client(root_path: str) -> Iterator[Client]:
    client = Client(root_path=root_path, enforce_csrf_checks=True)
    yield client
    client.close()


@pytest.fixture
def member() -> User:
    return User.objects.create_user("ann", "ann@example.com", PASSWORD)


@pytest.fixture
def book() -> Book:
    return Book.objects.create(title="Emma")


def log_in(client: Client, root_path: str) -> httpx.Response:
    """By the form of allauth's page, its token included."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/accounts/login/").text)
    assert token is not None
    data = {"login": "ann", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    return client.post("/accounts/login/", data=data)


def token_header(client: Client) -> dict[str, str]:
    """What a page's script sends, once a page with a form has set the cookie."""
    client.get("/accounts/logout/")
    return {"X-CSRFToken": client.cookies["csrftoken"]}


def panel(client: Client, page: str, name: str, root_path: str) -> str:
    """What the toolbar's script asks for when a panel of `page` is opened."""
    asked = dict(re.findall(r'data-(request-id|render-panel-url)="([^"]+)"', page))
    assert asked["render-panel-url"].startswith(f"{root_path}/__debug__/")
    url = asked["render-panel-url"].removeprefix(root_path)
    return str(client.get(url, params={"request_id": asked["request-id"], "panel_id": name}).json()["content"])


@override_settings(DEBUG=True)
def test_debug_toolbar_counts_the_queries_of_a_page(client: Client, book: Book) -> None:
    """With DEBUG a page has the toolbar's handle, and its SQL panel tells of the page's one query."""
    page = client.get("/").text
    assert "<li>Emma</li>" in page
    assert 'id="djDebugToolbarHandle"' in page
    button = page.split('id="djdt-SQLPanel"')[1].split("</li>")[0]
    assert re.search(r"1 query in \d", button)


@override_settings(DEBUG=True)
def test_debug_toolbar_shows_its_sql_panel(client: Client, book: Book, root_path: str) -> None:
    """The panel that the toolbar's script asks for, at the URL that the page names, has the SQL of the page's query."""
    assert "shelf_book" in panel(client, client.get("/").text, "SQLPanel", root_path)


@override_settings(DEBUG=True)
def test_debug_toolbar_leaves_the_api_alone(client: Client, member: User, root_path: str) -> None:
    """With DEBUG the toolbar marks and records a page and not a call of the API, which answers as without DEBUG."""
    client.force_login(member, MODEL_BACKEND)
    with override_settings(DEBUG=False):
        plain = client.get("/api/me")
    response = client.get("/api/me")
    assert (response.status_code, response.json()) == (200, "ann")
    assert (response.content, response.headers) == (plain.content, plain.headers)
    assert "djdt-request-id" not in response.headers
    page = client.get("/")
    recorded = panel(client, page.text, "HistoryPanel", root_path)
    assert page.headers["djdt-request-id"] in recorded
    assert "/api/me" not in recorded


def test_allauth_logs_in_for_the_api(client: Client, member: User, root_path: str) -> None:
    """Who logs in on allauth's page is the API's user, and nobody is before."""
    assert client.get("/api/me").status_code == 401
    response = log_in(client, root_path)
    assert (response.status_code, response.headers["location"]) == (302, f"{root_path}/")
    assert client.get("/api/me").json() == "ann"


def test_allauth_logs_out_for_the_api(client: Client, member: User, root_path: str) -> None:
    """Who logs out on allauth's page is the API's user no more."""
    log_in(client, root_path)
    assert client.get("/api/me").json() == "ann"
    assert client.post("/accounts/logout/", headers=token_header(client)).status_code == 302
    assert client.get("/api/me").status_code == 401


@in_both_kinds
def test_simple_history_notes_who_changed_a_row(client: Client, member: User, book: Book, kind: str) -> None:
    """A change by the API is in the row's history, with the user who made the call."""
    client.force_login(member, MODEL_BACKEND)
    response = client.put(f"/api/{kind}/books/{book.pk}", params={"title": "Persuasion"}, headers=token_header(client))
    assert response.status_code == 200
    newest, oldest = book.history.all()
    assert (newest.title, newest.history_user) == ("Persuasion", member)
    assert (oldest.title, oldest.history_user) == ("Emma", None)


@in_both_kinds
def test_simple_history_tells_users_apart(live_asgi_server: LiveServer, kind: str) -> None:
    """Changes that several users make at once, on the pool's threads, are each noted with their own user."""
    users = [User.objects.create_user(f"user{number}") for number in range(4)]
    books = [Book.objects.create(title="Emma") for _ in users]
    with ThreadPoolExecutor(len(users)) as threads:
        renamed = threads.map(partial(rename, str(live_asgi_server), kind), map(session_key, users), books)
        assert list(renamed) == [200] * len(users)
    assert [book.history.first().history_user for book in books] == users


def session_key(user: User) -> str:
    client = DjangoClient()
    client.force_login(user, MODEL_BACKEND)
    return client.cookies["sessionid"].value


def rename(url: str, kind: str, session: str, book: Book) -> int:
    cookies = {"sessionid": session, "csrftoken": TOKEN}
    with httpx.Client(base_url=url, cookies=cookies, headers={"X-CSRFToken": TOKEN}, timeout=30) as client:
        return client.put(f"/api/{kind}/books/{book.pk}", params={"title": "Persuasion"}).status_code


@in_both_kinds
def test_guardian_says_who_may(client: Client, member: User, book: Book, kind: str) -> None:
    """A permission for one book opens that book's endpoint, and no other's."""
    other = Book.objects.create(title="Persuasion")
    assign_perm("shelf.lend_book", member, book)
    client.force_login(member, MODEL_BACKEND)
    headers = token_header(client)
    lent = client.post(f"/api/{kind}/books/{book.pk}/lend", headers=headers)
    assert (lent.status_code, lent.json()) == (200, "Emma to ann")
    assert client.post(f"/api/{kind}/books/{other.pk}/lend", headers=headers).status_code == 403


def test_import_export_exports_rows(client: Client, admin_user: User, book: Book) -> None:
    """The export form of the admin answers the rows as CSV."""
    client.force_login(admin_user, MODEL_BACKEND)
    form = {"format": "0", "bookresource_id": "on", "bookresource_title": "on"}
    response = client.post("/admin/shelf/book/export/", data=form, headers=token_header(client))
    assert response.headers["content-type"].startswith("text/csv")
    assert list(csv.DictReader(io.StringIO(response.text))) == [{"id": str(book.pk), "title": "Emma"}]
