"""`/admin/mount/`: who sees it, and what it tells.

Holds `dashboard/access.py` and `dashboard/urls.py`.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.signing import TimestampSigner
from django.test import Client as DjangoClient
from django.test import override_settings
from freezegun import freeze_time

from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from djfast_mount.dashboard import views
from djfast_mount.dashboard.access import KEY_HEADER, key_of_terminal
from djfast_mount.testing import Client

pytestmark = pytest.mark.django_db

PATHS = ["/admin/mount/", "/admin/mount/events/", "/admin/mount/figures.json"]


@pytest.fixture(scope="module", params=["", "/site"], ids=["at_root", "django_prefix"])
def django_prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(django_prefix: str) -> MountedApplication:
    with override_settings(DJFAST_MOUNT={"telemetry": True}):
        return mount("/api", "project.api:api", django_prefix=django_prefix)


@pytest.fixture
def client(root: MountedApplication, root_path: str, django_prefix: str) -> Iterator[Client]:
    client = Client(root, root_path=root_path, base_url=f"http://testserver{django_prefix}")
    yield client
    client.close()


def staff(*permissions: str) -> User:
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def events(client: Client) -> dict[str, Any]:
    """The first event of the stream."""
    with client.stream("GET", "/admin/mount/events/") as response:
        assert response.headers["content-type"] == "text/event-stream"
        first = next(text for text in response.iter_text() if text)
    assert first.startswith("data: ")
    assert first.endswith("\n\n")
    found: dict[str, Any] = json.loads(first.removeprefix("data: "))
    return found


@pytest.mark.parametrize("leaving", ["logs out", "is no staff any more", "is refused by the permission"])
def test_a_stream_ends_soon_after_who_looks_has_to_go(
    client: Client, monkeypatch: pytest.MonkeyPatch, leaving: str
) -> None:
    """It has no further event once its user has logged out, or lost what was asked for, in another request."""
    monkeypatch.setattr(views, "INTERVAL", 0.01)
    monkeypatch.setattr(views, "LIFETIME", 20.0)
    user = staff("view_item")
    client.force_login(user)
    seen = 0
    begun = time.monotonic()
    with (
        override_settings(DJFAST_MOUNT={"telemetry": True, "dashboard_permission": "shop.view_item"}),
        client.stream("GET", "/admin/mount/events/") as response,
    ):
        for text in response.iter_text():
            seen += bool(text)
            if seen == 3:
                if leaving == "logs out":
                    Session.objects.all().delete()
                elif leaving == "is no staff any more":
                    User.objects.filter(pk=user.pk).update(is_staff=False)
                else:
                    user.user_permissions.clear()
    assert 3 <= seen <= 5
    assert time.monotonic() - begun < 15


def rows(told: dict[str, Any], key: str) -> list[list[str]]:
    return next(table["rows"] for table in told["tables"] if table["key"] == key)


def test_a_stranger_is_led_to_the_login(client: Client, root_path: str, django_prefix: str) -> None:
    """Who is not logged in is redirected to the admin's login page, and comes back to this one from there."""
    response = client.get("/admin/mount/")
    assert response.status_code == 302
    whole = root_path + django_prefix
    assert response.headers["location"] == f"{whole}/admin/login/?next={whole}/admin/mount/"


@pytest.mark.parametrize("path", PATHS[1:])
def test_scripts_of_strangers_are_refused(client: Client, path: str) -> None:
    """Stream and figures answer 403 to who is not logged in, and nothing else."""
    response = client.get(path)
    assert (response.status_code, response.content) == (403, b"")


@pytest.mark.parametrize("path", PATHS)
def test_users_who_are_not_staff_see_nothing(client: Client, path: str) -> None:
    """A member of the site, and somebody of the staff who was dismissed, are refused as a stranger is."""
    for name, is_staff, is_active in (("ann", False, True), ("bob", True, False)):
        client.force_login(User.objects.create_user(name, is_staff=is_staff, is_active=is_active))
        assert client.get(path).status_code == (302 if path == PATHS[0] else 403)


def test_staff_sees_the_page(client: Client, root_path: str, django_prefix: str) -> None:
    """The staff gets the page in the admin's frame, with every table, the merged routes, and where its events are."""
    client.force_login(staff())
    text = client.get("/admin/mount/").text
    whole = root_path + django_prefix
    assert f'data-events="{whole}/admin/mount/events/"' in text
    assert f'<a href="{whole}/admin/">Home</a>' in text
    assert re.findall(r'mount-table" id="mount-(\w+)">', text) == [
        *("requests", "threads", "waiting", "connections", "slowest", "suspicions", "leaks", "findings", "routes")
    ]
    assert f'<td data-label="Path">{django_prefix}/admin/login/</td>' in text
    assert '<td data-label="Owner">FastAPI</td>' in text


def test_nothing_is_inline(client: Client) -> None:
    """No script, style or handler stands in the page: a policy of `default-src 'self'` lets all of it through."""
    client.force_login(staff())
    text = client.get("/admin/mount/").text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_permission_may_be_asked_for(client: Client, path: str) -> None:
    """With `dashboard_permission` set, staff without it is refused, and staff with it, or a superuser, is not."""
    with override_settings(DJFAST_MOUNT={"telemetry": True, "dashboard_permission": "shop.view_item"}):
        client.force_login(staff())
        assert status(client, path) == 403
        client.force_login(User.objects.create_superuser("root"))
        assert status(client, path) == 200
        User.objects.get(username="sam").delete()
        client.force_login(staff("view_item"))
        assert status(client, path) == 200


def status(client: Client, path: str) -> int:
    with client.stream("GET", path) as response:
        return response.status_code


@pytest.mark.parametrize("path", PATHS)
def test_only_reading_is_allowed(client: Client, path: str) -> None:
    """A POST is 405 for the staff too."""
    client.force_login(staff())
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_headers_alone(client: Client, path: str) -> None:
    """A HEAD is answered at once, of the stream too: no event is made for it."""
    client.force_login(staff())
    begun = time.monotonic()
    response = client.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert time.monotonic() - begun < views.LIFETIME / 2


def test_page_stream_and_figures_tell_the_same(client: Client) -> None:
    """The figures as JSON are those of the stream, and the page has the same process and connections."""
    client.force_login(staff())
    told = client.get("/admin/mount/figures.json").json()
    assert events(client).keys() == told.keys()
    text = html.unescape(client.get("/admin/mount/").text)
    assert f"<strong>{told['process']}</strong>" in text
    assert [row[0] for row in rows(told, "connections")] == ["default"]


def test_a_key_of_the_terminal_opens_the_figures(client: Client) -> None:
    """What `mount_top` sends along opens the figures for a minute, and neither the page nor the stream."""
    with freeze_time("2026-01-01 12:00:00"):
        key = key_of_terminal()
    headers = {KEY_HEADER: key}
    with freeze_time("2026-01-01 12:00:59"):
        assert client.get("/admin/mount/figures.json", headers=headers).status_code == 200
        assert client.get("/admin/mount/events/", headers=headers).status_code == 403
        assert client.get("/admin/mount/", headers=headers).status_code == 302
    with freeze_time("2026-01-01 12:01:01"):
        assert client.get("/admin/mount/figures.json", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "key",
    [
        "",
        "figures",
        "figures:1",
        TimestampSigner(salt="other").sign("figures"),
        TimestampSigner(key="another", salt="djfast_mount.dashboard").sign("figures"),
        TimestampSigner(salt="djfast_mount.dashboard").sign("page"),
    ],
    ids=["none", "unsigned", "forged", "other-salt", "other-secret", "other-value"],
)
def test_other_keys_open_nothing(client: Client, key: str) -> None:
    """A key that is forged, of another secret key, or for something else is refused."""
    assert client.get("/admin/mount/figures.json", headers={KEY_HEADER: key}).status_code == 403


def test_without_mount_there_is_nothing_to_show() -> None:
    """Under Django's own test client, as under WSGI, the page says that it has nothing to show; all else is 404."""
    client = DjangoClient()
    client.force_login(staff())
    assert "is not served by <code>mount()</code>" in client.get("/admin/mount/").content.decode()
    for path in PATHS[1:]:
        assert client.get(path).status_code == 404


def test_the_page_says_that_telemetry_is_off(root_path: str) -> None:
    """Where requests are not counted the page says so, and how to have it."""
    client = Client(mount("/api", "project.api:api"), root_path=root_path)
    client.force_login(staff())
    assert 'set <code>DJFAST_MOUNT["telemetry"] = True</code>' in client.get("/admin/mount/").text


@pytest.mark.parametrize(("permission", "linked"), [(None, True), ("shop.view_item", False)])
def test_the_index_of_the_admin_leads_there(
    client: Client, root_path: str, django_prefix: str, permission: str | None, linked: bool
) -> None:
    """The admin's index has a link for whom the page lets in, and for nobody else."""
    with override_settings(DJFAST_MOUNT={"telemetry": True, "dashboard_permission": permission}):
        client.force_login(staff())
        text = client.get("/admin/").text
        assert (f'<a href="{root_path}{django_prefix}/admin/mount/">' in text) == linked
        assert (status(client, "/admin/mount/") == 200) == linked
