"""Which app answers a path, by a reference decision that is written here anew and shares no code with prefixes.py."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from typing import Any

import pytest
from django.http import HttpRequest, JsonResponse
from django.test import override_settings
from django.urls import re_path
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from calls import call, connect, http_scope, request, websocket, websocket_scope
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from djfast_mount.request_thread.request import RequestThreads
from djfast_mount.routing.prefixes import PrefixRouter
from djfast_mount.telemetry.observable_root import Unobserved
from djfast_mount.threads.pool import Pool
from harness import Server

pytestmark = pytest.mark.once

PREFIXES = ("/api", "/api/v2", "/mcp")
REFUSED = "refused"
DJANGO = "django"

# What generated paths are put together from: much that is nearly a prefix.
PIECES = (
    *("/", "/", "/", "api", "api", "v2", "mcp", "pre", "x", "apix", "API", "ap", "i", "admin", "static"),
    *(".", "..", ";", ";x", ".json", "%2f", "%61pi", "%", " ", "\\", "?", "#", "é", "\u2028", "\udcff", "{x}"),
    *("\n", "\r", "\t", "\x00", "\x1f", "\x7f"),
)


@dataclass(frozen=True)
class Case:
    """One request: the path and root_path of the server's scope, and the setting FORCE_SCRIPT_NAME."""

    path: str
    root_path: str = ""
    script_name: str | None = None


@dataclass(frozen=True)
class Decision:
    """Who answers, and the scope it is handed."""

    app: str
    root_path: str = ""
    path: str = ""


def reference(case: Case) -> Decision:
    """The decision by the rules, made on lists of segments."""
    outer = (case.root_path or case.script_name or "").rstrip("/").split("/")
    segments = case.path.split("/")
    if segments[: len(outer)] == outer:
        segments = [""] + (segments[len(outer) :] or [""])
    for length in range(len(segments), 1, -1):
        owner = "/".join(segments[:length])
        if owner not in PREFIXES:
            continue
        if any(ord(character) in {*range(32), 127} for segment in segments for character in segment):
            return Decision(REFUSED)
        root_path = "/".join([*outer, *segments[1:length]])
        return Decision(owner, root_path, root_path + "/" + "/".join(segments[length:]))
    if case.script_name:
        outer = case.script_name.rstrip("/").split("/")
    return Decision(DJANGO, "/".join(outer), "/".join(outer + segments[1:]))


class Stubs:
    """A root whose apps keep the scope that they are handed, and answer with nothing."""

    def __init__(self) -> None:
        self.scopes: list[tuple[str, Scope]] = []
        # It takes no thread, so nothing of this is called.
        never: Any = None
        threads = RequestThreads(
            Pool(1, never, wait_timeout=1), own_thread=never, left=(), ended=bool, unavailable=never
        )
        apps = {prefix: partial(self.app, prefix) for prefix in PREFIXES}
        self.root = MountedApplication(
            apps,
            partial(self.app, DJANGO),
            served=apps,
            http={prefix: partial(threads.http, app) for prefix, app in apps.items()},
            websocket_app=partial(self.app, DJANGO),
            layers=Unobserved(threads),
        )

    async def app(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] in ("http", "websocket")
        self.scopes.append((name, scope))

    async def decision(self, case: Case, make: Callable[..., Scope]) -> Decision:
        """What became of `case`. Fails when the server's scope was touched, or handed on as it is."""
        self.scopes.clear()
        scope = make(case.path, root_path=case.root_path, extensions={"x": {}}, state={})
        if scope["type"] == "http":
            answer = await call(self.root, scope)
            assert self.scopes or answer.status == 400
        else:
            sent = await connect(self.root, scope)
            assert self.scopes or [message["type"] for message in sent] == ["websocket.close"]
        # Starlette itself writes "app" into the scope that the server hands it.
        scope.pop("app")
        assert scope == make(case.path, root_path=case.root_path, extensions={"x": {}}, state={})
        if not self.scopes:
            return Decision(REFUSED)
        [(name, child)] = self.scopes
        assert child is not scope
        return Decision(name, child["root_path"], child["path"])

    async def deviations(self, cases: list[Case], make: Callable[..., Scope] = http_scope) -> list[tuple[Any, ...]]:
        """The cases that went elsewhere than by the reference, each with what was expected and what came."""
        wrong = []
        for script_name, group in itertools.groupby(cases, lambda case: case.script_name):
            with override_settings(FORCE_SCRIPT_NAME=script_name):
                for case in group:
                    expected, found = reference(case), await self.decision(case, make)
                    well_formed = found.app == REFUSED or found.path.startswith(found.root_path + "/")
                    if expected != found or not well_formed:
                        wrong.append((case, expected, found))
        return wrong


def generated(count: int, seed: int) -> list[Case]:
    """Cases in every style of proxy: no outer prefix, one that the server puts into the path or not, one by setting."""
    chance = random.Random(seed)
    cases = []
    for number in range(count):
        path = "/" + "".join(chance.choices(PIECES, k=chance.randrange(8)))
        if chance.random() < 0.5:
            path = chance.choice(PREFIXES) + path[chance.randrange(2) :]
        outer = chance.choice(("/pre", "/pre", "/api", "/a/b", "/pre/"))
        inside = outer.rstrip("/") + path
        style = number * 6 // count
        cases.append(
            [
                Case(path),
                Case(inside, outer),
                Case(path, outer),
                Case(inside, "", "/pre"),
                Case(path, "", "/pre"),
                Case(chance.choice((path, inside)), outer, "/other"),
            ][style]
        )
    return cases


paths = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map(lambda pieces: "/" + "".join(pieces))
outer_prefixes = st.sampled_from(["", "/pre", "/api", "/pre/", "/a/b"])
script_names = st.sampled_from([None, "/pre", "/api"])


@pytest.fixture(scope="module")
def stubs() -> Stubs:
    return Stubs()


def test_a_hundred_thousand_generated_paths_reach_the_app_that_the_rules_name(stubs: Stubs) -> None:
    """Whatever the path and the outer prefix, app, root_path and path of the child are those of the reference."""
    assert asyncio.run(stubs.deviations(generated(100_000, seed=1))) == []


def test_generated_websocket_paths_reach_the_app_that_the_rules_name(stubs: Stubs) -> None:
    """Websockets are dispatched by the same rules, but for FORCE_SCRIPT_NAME, which is Django's own."""
    cases = [case for case in generated(12_000, seed=2) if not (case.root_path and case.script_name)]
    assert asyncio.run(stubs.deviations(cases, websocket_scope)) == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.builds(Case, st.builds(str.__add__, outer_prefixes, paths), outer_prefixes, script_names))
def test_any_path_reaches_the_app_that_the_rules_name(case: Case) -> None:
    """No path that Hypothesis can think of leads elsewhere than the reference."""
    assert asyncio.run(Stubs().deviations([case])) == []


def test_the_owners_of_many_paths_are_those_of_each() -> None:
    """Many paths at once have the owners that each has alone, and those without one are left out."""
    paths = [case.path for case in generated(3_000, seed=5)]
    for prefixes in ([], ["/api"], PREFIXES, ["", "/api/v2"]):
        router = PrefixRouter(dict.fromkeys(prefixes))
        matches = {path: router.match(path) for path in paths}
        assert router.owners(paths) == {path: match[0] for path, match in matches.items() if match is not None}


class WithoutBoundary(PrefixRouter[Any]):
    """The fault that the comparison is there for: `/apix` is taken for the API's."""

    def __init__(self, targets: dict[str, Any]) -> None:
        super().__init__(targets)
        self._targets = targets

    def match(self, path: str) -> tuple[str, Any] | None:
        return next(((prefix, target) for prefix, target in self._targets.items() if path.startswith(prefix)), None)


def test_a_router_without_the_segment_boundary_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison finds a planted router that takes /apix for /api."""
    monkeypatch.setattr("djfast_mount.application.PrefixRouter", WithoutBoundary)
    wrong = asyncio.run(Stubs().deviations(generated(6_000, seed=3)))
    assert any(expected.app == DJANGO and found.app == "/api" for _, expected, found in wrong)


def where(request: HttpRequest, rest: str) -> JsonResponse:
    return JsonResponse([request.META["SCRIPT_NAME"], request.path_info, request.path], safe=False)


@pytest.mark.parametrize("script_name", [None, "/pre"])
def test_djangos_path_info_starts_with_a_slash(script_name: str | None, root_path: str) -> None:
    """For every generated path that is Django's, the path is the script name and a path_info that starts with "/"."""
    cases = [Case(root_path + case.path, root_path, script_name) for case in generated(600, seed=4)]
    with override_settings(
        FORCE_SCRIPT_NAME=script_name, ROOT_URLCONF=(re_path(r"(?s)^(.*)$", where),), APPEND_SLASH=False
    ):
        root = mount({prefix: Stubs().root for prefix in PREFIXES})
        for case in cases:
            if reference(case).app == DJANGO:
                script, path_info, path = request(root, case.path, root_path=case.root_path).json()
                assert path_info.startswith("/"), case
                assert path == script + path_info, case


API, CONTROL, SITE = "API", "control", "site"


@pytest.mark.parametrize(
    ("target", "owner"),
    [
        ("/api", API),
        ("/api/", API),
        ("/api/x", API),
        ("/api?x=/", API),
        ("/api//", API),
        ("/api%2fping", API),
        ("/api%2Fping", API),
        ("/%61pi/ping", API),
        ("/api/../admin/", API),
        ("/api/%2e%2e/admin/", API),
        ("/api/..%2fadmin/", API),
        ("/api/x%7f", CONTROL),
        ("/api/%00", CONTROL),
        ("/api/%0a", CONTROL),
        ("/api/x%0d%0aset-cookie:x=1", CONTROL),
        ("/api%2f%1f", CONTROL),
        ("/apix", SITE),
        ("/API", SITE),
        ("/API/where", SITE),
        ("//api", SITE),
        ("//api/where", SITE),
        ("/api;x", SITE),
        ("/api.json", SITE),
        ("/api%0a", SITE),
        ("/api%00/where", SITE),
        ("/api%20/where", SITE),
        ("/api%5cwhere", SITE),
        ("/%2561pi/where", SITE),
        ("/api%252fwhere", SITE),
        ("/x/../api", SITE),
        ("/./api/where", SITE),
        ("/%2e/api/where", SITE),
        ("/x/api/where", SITE),
    ],
)
def test_a_path_over_a_socket_reaches_its_half(target: str, owner: str, project_server: Server) -> None:
    """What a client writes into the request line is decoded once, and then decided upon as it stands."""
    with contextlib.closing(HTTPConnection("127.0.0.1", project_server.port, timeout=30)) as client:
        client.request("GET", target)
        answer = client.getresponse()
        kind = "text/html" if owner == SITE else "application/json"
        assert (answer.headers.get_content_type(), answer.headers["location"]) == (kind, None)
        assert (answer.status == 400) is (owner == CONTROL)


def test_a_control_character_refuses_a_websocket(root_path: str) -> None:
    """A websocket whose API path holds a control character is closed before it is accepted."""
    root = mount("/api", Stubs().root)
    assert [message["type"] for message in websocket(root, f"{root_path}/api/w\n", root_path=root_path)] == [
        "websocket.close"
    ]


@pytest.mark.parametrize("target", ["/api", "/api/"])
def test_a_post_to_the_prefix_itself_keeps_its_body(target: str, project_server: Server) -> None:
    """A POST to /api reaches the API without a redirect, and with all of its body."""
    body = "x" * 500_000
    with project_server.client() as client:
        for content in (body, (part.encode() for part in (body[:1], body[1:]))):
            answer = client.post(target, content=content)
            assert (answer.status_code, answer.json()) == (200, {"body": body})
