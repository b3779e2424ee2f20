"""Django's settings of security and of proxies, for the API as for Django's half.

Holds `django_for_api/settings.py`, `security/settings_cache.py` and `headers.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import Annotated, Any

import pytest
from django.http import HttpRequest
from django.test import override_settings
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from starlette.types import Message

from calls import Answer, ask, call, http_scope
from djfast_mount import mount
from djfast_mount.auth import get_request
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.security import djangos_middleware as security
from harness import TESTS

pytestmark = pytest.mark.once

held, let_go = threading.Event(), threading.Event()

SECURE = {"scheme": "https"}
PROXIED = {"x-forwarded-proto": "https"}
PAGES = {"the API, sync": "/api/sync", "the API, async": "/api/async", "Django": "/"}


def make_api() -> FastAPI:
    api = FastAPI()

    def seen(request: Request, django: HttpRequest) -> dict[str, Any]:
        return {
            "url": str(request.url),
            "url_for": str(request.url_for("seen")),
            "secure": django.is_secure(),
            "ports": [str((request.scope.get("server") or ("", ""))[1]), django.get_port(), django.META["SERVER_PORT"]],
            "absolute": django.build_absolute_uri(),
            "root_path": request.scope["root_path"],
        }

    @api.get("/sync", name="seen")
    def sync(request: Request, django: Annotated[HttpRequest, Depends(get_request)]) -> dict[str, Any]:
        return seen(request, django)

    @api.get("/async")
    async def asynchronous(request: Request, django: Annotated[HttpRequest, Depends(get_request)]) -> dict[str, Any]:
        return seen(request, django)

    @api.get("/url")
    async def url(request: Request) -> str:
        return str(request.url)

    @api.get("/own")
    async def own(response: Response) -> None:
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        response.headers["Referrer-Policy"] = "no-referrer"

    @api.get("/held")
    def hold() -> None:
        held.set()
        let_go.wait()

    @api.post("/posted")
    async def posted() -> str:
        return "posted"

    @api.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"{socket.url} {socket.scope['root_path']}")
        await socket.close()

    return api


def served(path: str, root_path: str, **options: Any) -> Answer:
    return ask(mount("/api", make_api()), path, root_path=root_path, **options)


def body(answer: Answer) -> dict[str, Any]:
    return json.loads(answer.body)  # type: ignore[no-any-return]


SECURITY_HEADERS = [
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "x-frame-options",
    "strict-transport-security",
    "content-security-policy",
]


def security_headers(answer: Answer) -> dict[str, str]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {name: headers[name] for name in SECURITY_HEADERS if name in headers}


VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "HSTS": {
        "SECURE_HSTS_SECONDS": 60,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "SECURE_HSTS_PRELOAD": True,
    },
    "others": {
        "SECURE_REFERRER_POLICY": ["no-referrer", "same-origin"],
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "unsafe-none",
        "X_FRAME_OPTIONS": "SAMEORIGIN",
    },
    "off": {
        "SECURE_CONTENT_TYPE_NOSNIFF": False,
        "SECURE_REFERRER_POLICY": None,
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": None,
    },
    "no middleware": {"MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"]},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("path", ["/api/sync", "/api/async", "/api/nowhere", "/api/docs", "/api/openapi.json"])
def test_the_api_has_the_headers_of_djangos_half(path: str, scheme: str, variant: str, root_path: str) -> None:
    """Each security header of a page of Django is on an answer of the API, with the same value."""
    with override_settings(**VARIANTS[variant]):
        expected = security_headers(served("/", root_path, scheme=scheme))
        found = security_headers(served(path, root_path, scheme=scheme))
    if path == "/api/docs":  # It has more of its own.
        found = {name: value for name, value in found.items() if name in expected}
    assert found == expected
    assert ("strict-transport-security" in expected) == (variant == "HSTS" and scheme == "https")


def test_a_policy_of_django_holds_for_the_api(root_path: str) -> None:
    """Where Django's ContentSecurityPolicyMiddleware is listed, the API has its header too; the docs keep their own."""
    pytest.importorskip("django.middleware.csp", reason="came with Django 6.0")
    from django.conf import settings  # noqa: PLC0415

    middleware = [*settings.MIDDLEWARE, "django.middleware.csp.ContentSecurityPolicyMiddleware"]
    with override_settings(MIDDLEWARE=middleware, SECURE_CSP={"default-src": ["'self'"]}):
        assert served("/api/sync", root_path).headers["content-security-policy"] == "default-src 'self'"
        assert "default-src 'none'" in served("/api/docs", root_path).headers["content-security-policy"]


REFUSALS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "a Host that is not allowed": (400, "/api/sync", {"headers": [(b"host", b"evil.example")]}),
    "a Host that is not allowed, for a file": (
        400,
        "/static/djfast_mount/redoc/redoc.standalone.js",
        {"headers": [(b"host", b"evil.example")]},
    ),
    "a control character": (400, "/api/a\nb", {}),
    "a body over the limit": (413, "/api/posted", {"headers": [(b"host", b"testserver"), (b"content-length", b"99")]}),
    "a body over the limit, in Django": (413, "/", {"headers": [(b"host", b"testserver"), (b"content-length", b"99")]}),
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", REFUSALS)
def test_what_the_root_itself_refuses_has_the_headers(name: str, scheme: str, root_path: str) -> None:
    """The root's own 400 and 413 have the headers of Django's half, unless they are switched off."""
    status, path, options = REFUSALS[name]
    with override_settings(SECURE_HSTS_SECONDS=60):
        expected = security_headers(served("/", root_path, scheme=scheme))
        for choice in (True, False):
            with with_choice(choice):
                app = mount("/api", make_api(), max_body_size=10)
                scope = {**http_scope(f"{root_path}{path}", root_path=root_path, scheme=scheme), **options}
                answer = asyncio.run(call(app, scope))
            assert (answer.status, security_headers(answer)) == (status, expected if choice else {})


@pytest.mark.parametrize("path", ["/api/sync", "/"])
def test_a_503_has_the_headers(path: str, root_path: str) -> None:
    """So has the 503 of either half when no thread comes free."""

    async def while_the_only_thread_is_held() -> list[Answer]:
        app = mount("/api", make_api(), threads=1, wait_timeout=0.01)
        busy = asyncio.ensure_future(call(app, http_scope(f"{root_path}/api/held", root_path=root_path)))
        await asyncio.to_thread(held.wait)
        try:
            return [await call(app, http_scope(f"{root_path}{path}", root_path=root_path))]
        finally:
            let_go.set()
            await busy

    held.clear()
    let_go.clear()
    [answer] = asyncio.run(while_the_only_thread_is_held())
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert security_headers(answer) == security_headers(served("/", root_path))


def test_an_apps_own_header_stays(root_path: str) -> None:
    """What an endpoint sets itself is neither changed nor doubled."""
    answer = served("/api/own", root_path)
    start = answer.messages[0]
    assert [value for name, value in start["headers"] if name == b"x-frame-options"] == [b"SAMEORIGIN"]
    assert [value for name, value in start["headers"] if name == b"referrer-policy"] == [b"no-referrer"]


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_the_redirect_to_https(path: str, root_path: str) -> None:
    """With SECURE_SSL_REDIRECT a call without TLS is sent to https in both halves, with its query."""
    with override_settings(SECURE_SSL_REDIRECT=True):
        answer = served(path, root_path, query_string=b"a=1")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        assert (answer.status, headers["location"]) == (301, f"https://testserver{root_path}{path}?a=1")
        assert served(path, root_path, scheme="https").status != 301


def test_what_is_exempt_from_the_redirect(root_path: str) -> None:
    """SECURE_REDIRECT_EXEMPT and SECURE_SSL_HOST mean what they mean to Django."""
    exempt = [f"^{root_path.lstrip('/')}/?api/sync$"]
    with override_settings(SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=exempt, SECURE_SSL_HOST="secure.example"):
        assert served("/api/sync", root_path).status == 200
        location = served("/api/async", root_path).headers["location"]
    assert location == f"https://secure.example{root_path}/api/async"


@pytest.mark.parametrize("path", ["/api/sync", "/api/async"])
@pytest.mark.parametrize(("said", "scheme"), [("https", "https"), ("https, http", "https"), ("http", "http")])
def test_the_proxys_scheme(path: str, said: str, scheme: str, root_path: str) -> None:
    """SECURE_PROXY_SSL_HEADER tells FastAPI's request what it tells Django's."""
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        for server_says in ("http", "https"):
            seen = body(served(path, root_path, headers={"x-forwarded-proto": said}, scheme=server_says))
            assert seen["url"] == seen["absolute"] == f"{scheme}://testserver{root_path}{path}"
            assert seen["url_for"] == f"{scheme}://testserver{root_path}/api/sync"
            assert seen["secure"] == (scheme == "https")
        assert body(served(path, root_path, scheme="https"))["secure"]


def test_the_proxys_scheme_is_believed_by_request_only(root_path: str) -> None:
    """Without the setting the header is nobody's word."""
    assert not body(served("/api/sync", root_path, headers=PROXIED))["secure"]


def test_the_proxys_scheme_decides_on_hsts_and_on_the_redirect(root_path: str) -> None:
    """Behind a proxy that ends TLS, the API is neither redirected in a circle nor without HSTS."""
    proxied = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
    with override_settings(**proxied, SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=60):
        answer = served("/api/sync", root_path, headers=PROXIED)
    assert (answer.status, answer.headers["strict-transport-security"]) == (200, "max-age=60")


@pytest.mark.parametrize("path", ["/api/sync", "/api/async"])
def test_the_proxys_host(path: str, root_path: str) -> None:
    """USE_X_FORWARDED_HOST tells FastAPI's request what it tells Django's."""
    headers = {"x-forwarded-host": "site.example:8443"}
    with override_settings(USE_X_FORWARDED_HOST=True, ALLOWED_HOSTS=["site.example"]):
        seen = body(served(path, root_path, headers=headers))
        assert seen["url"] == seen["absolute"] == f"http://site.example:8443{root_path}{path}"
        assert served(path, root_path, headers={"x-forwarded-host": "evil.example"}).status == 400
    assert body(served(path, root_path, headers=headers))["url"] == f"http://testserver{root_path}{path}"


@pytest.mark.parametrize(("checks", "status"), [(True, 400), (False, 200)])
def test_two_hosts_of_proxies(checks: bool, status: int, root_path: str) -> None:
    """Of two X-Forwarded-Host none is believed: it is 400, as in Django's half, or the Host where none is checked."""
    both = [(b"x-forwarded-host", b"site.example"), (b"x-forwarded-host", b"evil.example")]
    scope = http_scope(f"{root_path}/api/url", root_path=root_path)
    scope["headers"] = [*scope["headers"], *both]
    with override_settings(USE_X_FORWARDED_HOST=True, ALLOWED_HOSTS=["*"]):
        answer = asyncio.run(call(mount("/api", make_api(), host_check=checks), scope))
    assert answer.status == status
    if not checks:
        assert answer.json() == f"http://testserver{root_path}/api/url"


@pytest.mark.parametrize("path", ["/api/sync", "/api/async"])
@pytest.mark.parametrize(("said", "port"), [("8443", "8443"), ("x", "8000"), ("", "8000"), ("9" * 400, "8000")])
def test_the_proxys_port(path: str, said: str, port: str, root_path: str) -> None:
    """USE_X_FORWARDED_PORT tells FastAPI's request what it tells Django's; what is no port is nobody's word."""
    headers = {"x-forwarded-port": said}
    with override_settings(USE_X_FORWARDED_PORT=True):
        seen = body(served(path, root_path, headers=headers, server=("127.0.0.1", 8000)))
        assert (seen["ports"][0], seen["ports"][2]) == (port, port)
        assert seen["ports"][1] == said  # As Django has it.
        assert seen["url"] == seen["absolute"] == f"http://testserver{root_path}{path}"
    assert body(served(path, root_path, headers=headers, server=("127.0.0.1", 8000)))["ports"] == ["8000"] * 3


def test_the_script_name(root_path: str) -> None:
    """FORCE_SCRIPT_NAME is in the links of both halves, whatever the server's root_path is."""
    with override_settings(FORCE_SCRIPT_NAME="/forced", STATIC_URL="static/"):
        outer = "" if root_path else "/forced"
        seen = body(served(f"{outer}/api/sync", root_path))
        page = served(f"{outer}/api/docs", root_path)
        assert seen["root_path"] == "/forced/api"
        assert seen["url_for"] == seen["absolute"] == "http://testserver/forced/api/sync"
        assert b'openapi-url="/forced/api/openapi.json"' in page.body
        assert b'src="/forced/static/djfast_mount/' in page.body


def websocket_says(root_path: str, headers: dict[str, str]) -> str:
    app = mount("/api", make_api())
    scope = {**http_scope(f"{root_path}/api/ws", headers=headers, root_path=root_path), "type": "websocket"}
    scope |= {"scheme": "ws", "subprotocols": []}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return str(sent[1]["text"])


def test_websockets_are_told_too(root_path: str) -> None:
    """The scheme, the host and the script name of a websocket are those of the settings."""
    headers = {**PROXIED, "x-forwarded-host": "site.example"}
    with override_settings(
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
        USE_X_FORWARDED_HOST=True,
        ALLOWED_HOSTS=["site.example"],
    ):
        assert websocket_says(root_path, headers) == f"wss://site.example{root_path}/api/ws {root_path}/api"
        with override_settings(FORCE_SCRIPT_NAME="/forced"):
            if root_path:
                assert websocket_says(root_path, headers) == "wss://site.example/forced/api/ws /forced/api"


def with_choice(choice: object) -> Any:
    return override_settings(DJFAST_MOUNT={"django_settings_for_api": choice, "docs_access": "public"})


def test_all_can_be_switched_off(root_path: str) -> None:
    """With False the API is as it was without Django, and Django's half as ever."""
    with (
        with_choice(False),
        override_settings(SECURE_SSL_REDIRECT=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")),
    ):
        answer = served("/api/sync", root_path, headers=PROXIED)
        assert (answer.status, security_headers(answer)) == (200, {})
        assert body(answer)["url"].startswith("http:")
        assert served("/", root_path).status == 301


@pytest.mark.parametrize("choice", ["security_headers", "SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER"])
def test_one_can_be_chosen(choice: str, root_path: str) -> None:
    """A list names what holds for the API, and the rest does not."""
    with with_choice([choice]), override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        answer = served("/api/sync", root_path, headers=PROXIED)
        assert bool(security_headers(answer)) == (choice == "security_headers")
        assert body(answer)["url"].startswith("https:") == (choice == "SECURE_PROXY_SSL_HEADER")
        with override_settings(SECURE_SSL_REDIRECT=True):
            assert served("/api/sync", root_path).status == (301 if choice == "SECURE_SSL_REDIRECT" else 200)


def test_the_script_name_can_be_left_to_the_server() -> None:
    """Where FORCE_SCRIPT_NAME is not among the names, the API's links follow the server's root_path."""
    with with_choice(["security_headers"]), override_settings(FORCE_SCRIPT_NAME="/forced", STATIC_URL="static/"):
        assert body(served("/api/sync", "/pre"))["root_path"] == "/pre/api"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (["security_header"], "lists 'security_header'. Did you mean 'security_headers'?"),
        (["x"], "lists 'x'. The names are FORCE_SCRIPT_NAME,"),
        ("all", "is 'all'. Give True, False or a list of names."),
        (3, "is 3. Give True, False or a list of names."),
    ],
)
def test_a_wrong_choice(choice: object, words: str) -> None:
    """What is no choice is an error at start-up that says what is one."""
    with with_choice(choice), pytest.raises(ConfigurationError, match=re.escape(words)):
        mount("/api", make_api())


def test_the_page_of_the_docs() -> None:
    """Every name that can be chosen stands in docs/middleware.md."""
    page = (TESTS.parent / "docs" / "middleware.md").read_text()
    for name in security._CHOICES:
        assert f"`{name}`" in page


def test_plain_asgi_apps_are_held_to_it(root_path: str) -> None:
    """An app that is no FastAPI has the headers too."""

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["scheme"].encode()})

    answer = asyncio.run(call(mount("/x", plain), http_scope(f"{root_path}/x", root_path=root_path)))
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_name_in_capitals_is_the_same_name(root_path: str) -> None:
    """A header that an app has set stays alone, though its name is in capitals, which ASGI does not allow."""

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Frame-Options", b"SAMEORIGIN")]})
        await send({"type": "http.response.body"})

    answer = asyncio.run(call(mount("/x", plain), http_scope(f"{root_path}/x", root_path=root_path)))
    found = [value for name, value in answer.messages[0]["headers"] if name.lower() == b"x-frame-options"]
    assert found == [b"SAMEORIGIN"]
