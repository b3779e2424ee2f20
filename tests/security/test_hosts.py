"""ALLOWED_HOSTS in every part of the site: Django's own decision, on exactly one Host header."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import override_settings

from calls import request, websocket
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication

pytestmark = pytest.mark.once

ALLOWED = [
    b"testserver",
    b"testserver:8000",
    b"TestServer",
    b"testserver.",
    b"127.0.0.1:1",
    b"www.example.com",
    b"example.com:443",
    b"[::1]",
    b"[::1]:8000",
]
REFUSED = [
    b"",
    b" ",
    b":8000",
    b"evil.example",
    b"evil.example:8000",
    b"testserver.evil.example",
    b"eviltestserver",
    b"example.com.evil.example",
    b"testserver:80@evil.example",
    b"evil.example:80@testserver",
    b"testserver@evil.example",
    b"testserver:",
    b"testserver:port",
    b"testserver:80:80",
    b"testserver, evil.example",
    b"testserver evil.example",
    b"testserver/evil.example",
    b"testserver\\evil.example",
    b"testserver#evil.example",
    b"testserver\t",
    b"testserver\x00",
    b"testserver\n",
    b"127.0.0.1.evil.example",
    b"127.1",
    b"[::1",
    b"::1",
    b"[::2]",
    b"\xff",
    "tést".encode(),
    b"x" * 10_000,
]
HOSTS = ["testserver", "127.0.0.1", "[::1]", ".example.com"]

PATHS = {"api": "/api/where", "django": "/echo/", "static": "/static/admin/css/base.css"}
ALL = {"api": True, "django": True, "static": True, "websocket": True}
NONE = dict.fromkeys(ALL, False)

Headers = list[tuple[bytes, bytes]]


def host(*values: bytes, forwarded: tuple[bytes, ...] = ()) -> Headers:
    return [(b"host", value) for value in values] + [(b"x-forwarded-host", value) for value in forwarded]


@pytest.fixture(scope="module")
def root() -> MountedApplication:
    return served()


@override_settings(DEBUG=True)
def served(**options: Any) -> MountedApplication:
    """The test project with its static files, as they lie in the apps: DEBUG counts when the table is made."""
    return mount("/api", "project.api:api", **options)


def verdicts(root: MountedApplication, root_path: str, headers: Headers) -> dict[str, bool]:
    """Which parts of the site serve a request with these headers."""
    scope: dict[str, Any] = {"root_path": root_path, "headers": headers}
    sent = websocket(root, f"{root_path}/api/ws", "x", **scope)
    assert sent[0]["type"] in ("websocket.accept", "websocket.close")
    statuses = {part: request(root, root_path + path, **scope).status for part, path in PATHS.items()}
    assert set(statuses.values()) <= {200, 400}
    return {part: status == 200 for part, status in statuses.items()} | {
        "websocket": sent[0]["type"] == "websocket.accept"
    }


@pytest.mark.parametrize("value", ALLOWED)
@override_settings(ALLOWED_HOSTS=HOSTS)
def test_an_allowed_host_is_served(value: bytes, root: MountedApplication, root_path: str) -> None:
    """A Host that ALLOWED_HOSTS names, with or without a port, is served by every part."""
    assert verdicts(root, root_path, host(value)) == ALL


@pytest.mark.parametrize("value", REFUSED)
@override_settings(ALLOWED_HOSTS=HOSTS)
def test_another_host_is_refused(value: bytes, root: MountedApplication, root_path: str) -> None:
    """Any other Host is refused by every part: 400, or a websocket that is never accepted."""
    assert verdicts(root, root_path, host(value)) == NONE


@pytest.mark.parametrize(
    "values", [(), (b"testserver", b"testserver"), (b"testserver", b"evil.example"), (b"evil.example", b"testserver")]
)
def test_no_host_or_two_are_refused(values: tuple[bytes, ...], root: MountedApplication, root_path: str) -> None:
    """The API, static files and websockets take exactly one Host header."""
    found = verdicts(root, root_path, host(*values))
    del found["django"]
    assert not any(found.values())


@pytest.mark.parametrize(
    ("allowed_hosts", "debug", "value", "expected"),
    [
        (["*"], False, b"evil.example", ALL),
        (["*"], False, b"evil.example:80@testserver", NONE),
        ([], False, b"localhost", NONE),
        ([], True, b"localhost:8000", ALL),
        ([], True, b"sub.localhost", ALL),
        ([], True, b"127.0.0.1", ALL),
        ([], True, b"[::1]", ALL),
        ([], True, b"evil.example", NONE),
        (["testserver"], True, b"localhost", NONE),
        (("testserver",), False, b"testserver", ALL),
    ],
)
def test_the_settings_decide_as_they_do_in_django(
    allowed_hosts: list[str],
    debug: bool,
    value: bytes,
    expected: dict[str, bool],
    root: MountedApplication,
    root_path: str,
) -> None:
    """The wildcard, and the hosts that DEBUG allows when the list is empty, hold in every part."""
    with override_settings(ALLOWED_HOSTS=allowed_hosts, DEBUG=debug):
        assert verdicts(root, root_path, host(value)) == expected


def test_what_debug_allowed_is_refused_without_it(root: MountedApplication) -> None:
    """A host that was let through under DEBUG is looked at anew when DEBUG goes."""
    with override_settings(ALLOWED_HOSTS=[]):
        with override_settings(DEBUG=True):
            assert verdicts(root, "", host(b"localhost")) == ALL
        assert verdicts(root, "", host(b"localhost")) == NONE


@pytest.mark.parametrize(
    ("trusted", "values", "forwarded", "expected"),
    [
        (True, (b"testserver",), (b"evil.example",), NONE),
        (True, (b"evil.example",), (b"testserver",), ALL),
        (True, (b"evil.example",), (), NONE),
        (True, (b"testserver",), (), ALL),
        (True, (b"testserver",), (b"testserver", b"evil.example"), NONE),
        (True, (b"testserver",), (b"testserver, evil.example",), NONE),
        (False, (b"testserver",), (b"evil.example",), ALL),
        (False, (b"evil.example",), (b"testserver",), NONE),
    ],
)
def test_a_forwarded_host_counts_where_it_is_trusted(
    trusted: bool,
    values: tuple[bytes, ...],
    forwarded: tuple[bytes, ...],
    expected: dict[str, bool],
    root: MountedApplication,
    root_path: str,
) -> None:
    """X-Forwarded-Host takes the place of Host with USE_X_FORWARDED_HOST, and is nothing without."""
    with override_settings(USE_X_FORWARDED_HOST=trusted):
        assert verdicts(root, root_path, host(*values, forwarded=forwarded)) == expected


@pytest.mark.parametrize("debug", [True, False])
def test_a_refusal_is_logged_as_djangos(
    root: MountedApplication, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    """What the API refuses is logged as Django logs it: the logger, the level, the request, and the name to allow."""
    with override_settings(DEBUG=debug):
        answer = request(root, "/api/where", headers=host(b"evil.example:8120"))
    [record] = caplog.records
    assert (record.name, record.levelname) == ("django.security.DisallowedHost", "ERROR")
    message = "Invalid Host header: 'evil.example:8120'. You may need to add 'evil.example' to ALLOWED_HOSTS."
    assert record.getMessage() == message
    assert (vars(record)["status_code"], vars(record)["request"].path) == (400, "/api/where")
    assert answer.json() == {"detail": message if debug else "Bad Request"}


@pytest.mark.parametrize("values", [(), (b"testserver", b"testserver"), (b"a b",), (b"",)])
def test_other_refusals(root: MountedApplication, caplog: pytest.LogCaptureFixture, values: tuple[bytes, ...]) -> None:
    """No Host, two, or what is no name, is refused without an advice that would not help."""
    answer = request(root, "/api/where", headers=host(*values))
    assert (answer.status, answer.json()) == (400, {"detail": "Bad Request"})
    [record] = caplog.records
    assert "You may need" not in record.getMessage()


def test_a_static_file_is_refused_in_words(root: MountedApplication) -> None:
    """Where no API answers, the refusal is a text."""
    answer = request(root, "/static/admin/css/base.css", headers=host(b"evil.example"))
    assert (answer.status, answer.text) == (400, "Bad Request")


def test_the_check_can_be_left_to_a_proxy(root_path: str) -> None:
    """With host_check=False every Host is served by all but Django, which decides for itself."""
    assert verdicts(served(host_check=False), root_path, host(b"evil.example")) == {**ALL, "django": False}


@pytest.mark.parametrize("value", [b"testserver", b"evil.example", b"evil.example:80@testserver", b""])
@pytest.mark.parametrize(
    "path",
    ["/api/where/", "/api", "/api//evil.example/where/", "/admin", "//evil.example/admin", "/\\evil.example/admin"],
)
def test_no_redirect_leads_to_a_foreign_host(path: str, value: bytes, root: MountedApplication, root_path: str) -> None:
    """Whatever the Host and the path, a Location names no other host than an allowed one."""
    answer = request(root, root_path + path, root_path=root_path, headers=host(value))
    location = answer.header("location")
    if location is not None:
        assert urlsplit(location).netloc in ("", "testserver")
        assert not location.startswith(("//", "/\\"))


def test_a_slash_redirect_of_the_api_stays_on_its_host(root: MountedApplication, root_path: str) -> None:
    """FastAPI's own redirect to the form without a slash works, and keeps host and prefix."""
    answer = request(root, f"{root_path}/api/where/", root_path=root_path)
    assert (answer.status, answer.header("location")) == (307, f"http://testserver{root_path}/api/where")
