"""The index before FastAPI's scan: whatever the routes and the path, the answer is the scan's.

Holds `fastpath/before_stack.py` and `fastpath/front.py`.
"""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Callable
from typing import Any

import fastapi.routing
import pytest
import starlette._utils
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import FastAPIError
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Match, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calls import call, http_scope, request
from djfast_mount import mount
from djfast_mount.fastpath.before_stack import before, straighten

pytestmark = pytest.mark.once

# Few and alike, so that routes shadow one another.
SEGMENTS = ("a", "b", "a.b", "{x}", "{y}", "{n:int}", "a-{x}", "{rest:path}", "")
METHODS = (["GET"], ["POST"], ["GET", "POST"])


class Contrary(APIRoute):
    """A route that decides in a way of its own: by the query."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (match, child) if b"contrary" in scope["query_string"] else (Match.NONE, {})


class Elsewhere(APIRouter):
    """A router that takes what no path of its tells of."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches({**scope, "path": scope["path"].replace("b", "a")})


def endpoint(name: str) -> Callable[..., Any]:
    async def answer(request: Request) -> dict[str, Any]:
        route: Any = request.scope["route"]
        seen = {key: str(value) for key, value in request.path_params.items()}
        return {"endpoint": name, "params": seen, "route": route.path, "root_path": request.scope["root_path"]}

    answer.__name__ = name
    return answer


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"plain {request.url.path}")


paths = st.lists(st.sampled_from(SEGMENTS), max_size=3, unique=True).map(lambda segments: "/" + "/".join(segments))
prefixes = st.sampled_from(["", "/a", "/b", "/a/b", "/{p}"])
one_route = st.tuples(st.just("route"), paths, st.sampled_from(METHODS))
odd = st.sampled_from(["mount", "host", "plain", "contrary", "websocket", "sub"]).flatmap(
    lambda kind: st.tuples(st.just(kind), paths, st.just(["GET"]))
)
tables: Any = st.recursive(
    st.lists(one_route | odd, max_size=6),
    lambda below: st.lists(one_route | odd | st.tuples(st.sampled_from(["include", "elsewhere"]), prefixes, below)),
    max_leaves=4,
)
asked = st.lists(st.sampled_from(["a", "b", "a.b", "a-", "a-b", "7", "a\n", "é", ""]), max_size=4).map(
    lambda segments: "/" + "/".join(segments)
)


# Cases that chance seldom brings.
LINE_END = [("route", "/a", ["GET"]), ("route", "/{x}", ["GET"])]
ELSEWHERE = [("elsewhere", "", [("route", "/a", ["GET"])]), ("route", "/{x}", ["GET"])]


def fill(router: Any, table: list[Any], trail: str = "r") -> None:
    for number, (kind, path, rest) in enumerate(table):
        name = f"{trail}_{number}"
        try:
            add(router, kind, path, rest, name)
        except (AssertionError, ValueError, FastAPIError):
            continue  # FastAPI takes no such route: a parameter twice, or no path at all.


def add(router: Any, kind: str, path: str, rest: Any, name: str) -> None:
    inner = getattr(router, "router", router)
    if kind == "route":
        router.add_api_route(path, endpoint(name), methods=rest)
    elif kind in ("include", "elsewhere"):
        below = (APIRouter if kind == "include" else Elsewhere)()
        fill(below, rest, name)
        router.include_router(below, prefix=path.replace("{p}", f"{{p{name}}}"), dependencies=[Depends(lambda: None)])
    elif kind == "mount":
        inner.routes.append(Mount(path.rstrip("/"), routes=[Route("/a", plain)]))
    elif kind == "host":
        inner.routes.append(Host("a.example", app=PlainTextResponse(name)))
    elif kind == "plain":
        inner.routes.append(Route(path, plain))
    elif kind == "contrary":
        inner.routes.append(Contrary(path, endpoint(name)))
    elif kind == "sub":
        inner.routes.append(Mount(path.rstrip("/"), app=sub()))
    else:
        router.add_api_websocket_route(path, endpoint(name))


def sub() -> FastAPI:
    api = FastAPI()
    api.add_api_route("/a", endpoint("sub"))
    api.add_api_route("/{x}", endpoint("sub_x"))
    return api


def api_of(table: list[Any], redirect_slashes: bool = True) -> FastAPI:
    api = FastAPI(redirect_slashes=redirect_slashes)
    fill(api, table)
    return api


def ask(app: ASGIApp, path: str, root_path: str, **scope: Any) -> list[Message]:
    return asyncio.run(call(app, http_scope(path, root_path=root_path, **scope))).messages


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    table=tables,
    path=asked,
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE"]),
    host=st.sampled_from([b"testserver", b"a.example"]),
    query=st.sampled_from([b"", b"contrary"]),
    redirect=st.booleans(),
)
@example(table=LINE_END, path="/a\n", method="GET", host=b"testserver", query=b"", redirect=True)
@example(table=ELSEWHERE, path="/b", method="GET", host=b"testserver", query=b"", redirect=True)
def test_the_index_finds_what_the_scan_finds(
    table: list[Any], path: str, method: str, host: bytes, query: bytes, redirect: bool
) -> None:
    """Status, headers and body (endpoint, parameters, route) are those of FastAPI alone, for any routes and request."""
    api, indexed = api_of(table, redirect), api_of(table, redirect)
    straighten(indexed)
    straightened = before(indexed)
    for root_path in ("", "/pre"):
        scope = {"method": method, "headers": [(b"host", host)], "query_string": query}
        expected = ask(api, root_path + path, root_path, **scope)
        assert ask(straightened, root_path + path, root_path, **scope) == expected


def wide() -> FastAPI:
    """Ten routers of thirty routes each."""
    api = FastAPI()
    for number in range(10):
        router = APIRouter(prefix=f"/r{number}")
        for item in range(30):
            router.add_api_route(f"/items{item}/{{x}}", endpoint(f"e{number}_{item}"))
        api.include_router(router)
    return api


class Counting:
    """The regular expression of a route, which counts how often it is asked."""

    def __init__(self, regex: Any) -> None:
        self.regex = regex
        self.asked = 0

    def match(self, path: str) -> Any:
        self.asked += 1
        return self.regex.match(path)

    def __eq__(self, other: object) -> bool:
        return bool(self.regex == other)

    __hash__ = None  # type: ignore[assignment]


def counted(api: FastAPI) -> list[Counting]:
    counts = []
    for included in [route for route in api.routes if hasattr(route, "effective_candidates")]:
        for candidate in included.effective_candidates():
            candidate.path_regex = Counting(candidate.path_regex)
            counts.append(candidate.path_regex)
    return counts


def test_the_cost_does_not_grow_with_the_routes(root_path: str) -> None:
    """A request for the last of 300 routes asks that route alone; without the index it asks them all."""
    alone = wide()
    unindexed = counted(alone)
    asyncio.run(call(alone, http_scope("/r9/items29/7")))
    assert sum(count.asked > 0 for count in unindexed) == 300

    api = wide()
    counts = counted(api)
    answer = request(mount("/api", api), f"{root_path}/api/r9/items29/7", root_path=root_path)
    assert answer.json()["endpoint"] == "e9_29"
    assert [number for number, count in enumerate(counts) if count.asked] == [299]


@pytest.mark.parametrize("change", ["add", "add to a router", "include", "append", "replace", "remove"])
def test_routes_may_change(root_path: str, change: str) -> None:
    """What is added, replaced or removed after a request counts for the next one, as with FastAPI alone."""
    api, router = FastAPI(), APIRouter()
    api.add_api_route("/first", endpoint("first"))
    router.add_api_route("/in", endpoint("in"))
    api.include_router(router)
    root = mount("/api", api)

    def get(path: str) -> Any:
        answer = request(root, f"{root_path}/api{path}", root_path=root_path)
        return answer.json()["endpoint"] if answer.status == 200 else answer.status

    assert (get("/first"), get("/in"), get("/new")) == ("first", "in", 404)
    new = APIRoute("/new", endpoint("new"))
    if change == "add":
        api.add_api_route("/new", endpoint("new"))
    elif change == "add to a router":
        router.add_api_route("/new", endpoint("new"))
    elif change == "include":
        other = APIRouter()
        other.add_api_route("/new", endpoint("new"))
        router.include_router(other)
    elif change == "append":
        api.router.routes.append(new)
    else:
        (index,) = (i for i, route in enumerate(api.routes) if getattr(route, "path", "") == "/first")
        api.router.routes[index : index + 1] = [new] if change == "replace" else []
    found = {"remove": (404, 404), "replace": (404, "new")}.get(change, ("first", "new"))
    assert (get("/first"), get("/new")) == found


def replace_methods(route: Any) -> None:
    route.methods = {"POST", "PUT"}


def lose_all_but_post(route: Any) -> None:
    route.methods.clear()
    route.methods.add("POST")


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (replace_methods, ["second", "first", "first"]),
        (lose_all_but_post, ["second", "first", 405]),
        (lambda route: route.methods.add("PUT"), ["first", "second", "first"]),
    ],
    ids=["replaced", "lost", "gained"],
)
@pytest.mark.parametrize("path", ["/a", "/{a}"])
def test_methods_may_change(root_path: str, path: str, change: Callable[[Any], None], after: list[Any]) -> None:
    """A method that a route gains or loses after a request counts for the next one, as with FastAPI alone."""
    apis = FastAPI(), FastAPI()
    for api in apis:
        api.add_api_route(path, endpoint("first"), methods=["GET"])
        api.add_api_route("/a", endpoint("second"), methods=["GET", "POST"])
    root = mount("/api", apis[0])

    def found(method: str) -> Any:
        answer = request(root, f"{root_path}/api/a", root_path=root_path, method=method)
        alone = request(apis[1], "/a", method=method)
        endpoints = [each.json()["endpoint"] if each.status == 200 else each.status for each in (answer, alone)]
        assert endpoints[0] == endpoints[1]
        return endpoints[0]

    assert [found("GET"), found("POST"), found("PUT")] == ["first", "second", 405]
    for api in apis:
        [first] = [route for route in api.routes if getattr(route, "name", "") == "first"]
        change(first)
    assert [found("GET"), found("POST"), found("PUT")] == after


def in_any_case(route: Any) -> None:
    """The recipe for routes that are found in any case."""
    route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)


def only_with_a_query(route: Any) -> None:
    matches = route.matches
    route.matches = lambda scope: matches(scope) if scope["query_string"] else (Match.NONE, {})


def for_all_paths(route: Any) -> None:
    route.matches = lambda scope: (Match.FULL, {"endpoint": route.endpoint, "path_params": {}, "route": route})


def at_another_path(route: Any) -> None:
    route.path = "/{no:convertor}"


def in_any_case_of_another_path(route: Any) -> None:
    in_any_case(route)
    at_another_path(route)


def in_the_docs(route: Any) -> None:
    route.path_format = "/for/the/docs"


def by_another_app(route: Any) -> None:
    route.handle = PlainTextResponse("handled")


CHANGES = {
    "regex": in_any_case,
    "narrower": only_with_a_query,
    "wider": for_all_paths,
    "path": at_another_path,
    "regex and path": in_any_case_of_another_path,
    "format": in_the_docs,
    "handle": by_another_app,
}


def changeable(layout: str) -> tuple[FastAPI, list[Any]]:
    """An API in which a route comes before one that takes more, and the routes that may be changed."""
    api, router = FastAPI(openapi_url=None), APIRouter()
    owner: Any = router if layout == "included" else api
    if layout == "plain":
        api.router.routes.append(Route("/users/me", plain))
    else:
        owner.add_api_route("/users/me", endpoint("me"))
        owner.add_api_route("/users/{name}", endpoint("user"))
    routes: list[Any] = list(owner.routes)
    if layout == "included":
        api.include_router(router)
    if layout == "single page":
        api.mount("/", PlainTextResponse("the page"))
    else:
        api.add_api_route("/{rest:path}", endpoint("rest"))
    return api, routes


LAYOUTS = ("catch-all", "single page", "plain", "included")
# Of a route that is included FastAPI asks `matches` alone; all else it makes anew from its path.
UNSEEN = {("included", "regex"), ("plain", "path"), *((layout, "format") for layout in LAYOUTS)}


@pytest.mark.parametrize(
    ("layout", "change"),
    [(layout, change) for layout in LAYOUTS for change in CHANGES if layout != "included" or "path" not in change],
)
@pytest.mark.parametrize("when", ["before the first request", "after it"])
def test_a_route_may_be_changed(root_path: str, layout: str, change: str, when: str) -> None:
    """What a project does to a route that it has made counts from the next request on, as with FastAPI alone."""
    (alone, routes), (api, same_routes) = changeable(layout), changeable(layout)
    root = mount("/api", api)

    def found(app: ASGIApp, below: str) -> list[Any]:
        def get(path: str, query: bytes = b"") -> Any:
            answer = request(app, root_path + "/api" + path, root_path=root_path + below, query_string=query)
            return path, query, answer.status, answer.body

        paths = ("/users/me", "/USERS/ME", "/users/ME", "/users/other", "/Users/Other", "/x")
        return [*map(get, paths), get("/users/me", b"query")]

    unchanged = found(changeable(layout)[0], "/api")
    if when == "after it":
        assert found(root, "") == unchanged
    for route, same in zip(routes, same_routes, strict=True):
        CHANGES[change](route)
        CHANGES[change](same)
        expected = found(alone, "/api")
        assert found(root, "") == found(root, "") == expected
        assert (expected != unchanged) == ((layout, change) not in UNSEEN)


@pytest.mark.parametrize(("path", "before"), [("/USERS/ME", "rest"), ("/users/ME", "user")])
@pytest.mark.parametrize("change", ["regex", "wider"])
def test_a_changed_route_is_seen_where_another_has_its_paths(
    root_path: str, path: str, before: str, change: str
) -> None:
    """The very next request after a change goes to the changed route, where a later route had its path until then."""
    api, routes = changeable("catch-all")
    root = mount("/api", api)

    def found() -> Any:
        return request(root, f"{root_path}/api{path}", root_path=root_path).json()["endpoint"]

    assert found() == before
    CHANGES[change](routes[0])
    assert found() == "me"


class InAnyCase(APIRoute):
    """A route that keeps its regular expression elsewhere than where it is set."""

    @property
    def path_regex(self) -> Any:
        return re.compile(vars(self)["regex"].pattern, re.IGNORECASE)

    @path_regex.setter
    def path_regex(self, regex: Any) -> None:
        vars(self)["regex"] = regex


def test_a_class_may_have_its_own_regular_expressions(root_path: str) -> None:
    """A class of routes that computes the regular expression is asked for it."""
    api = FastAPI()
    api.router.route_class = InAnyCase
    api.add_api_route("/users", endpoint("users"))
    api.router.routes.append(APIRoute("/{rest:path}", endpoint("rest")))
    root = mount("/api", api)
    for path, name in (("/users", "users"), ("/USERS", "users"), ("/other", "rest")):
        assert request(root, f"{root_path}/api{path}", root_path=root_path).json()["endpoint"] == name


@pytest.mark.parametrize("part", ["original_router", "itself"])
def test_an_included_router_may_be_changed(root_path: str, part: str) -> None:
    """A router whose `matches` was replaced, or what FastAPI includes it as, goes on to decide for itself."""
    api, router = FastAPI(), APIRouter()
    router.add_api_route("/a", endpoint("included"))
    api.include_router(router)
    api.add_api_route("/a", endpoint("second"))
    included: Any = next(route for route in api.routes if hasattr(route, "original_router"))
    only_with_a_query(router if part == "original_router" else included)
    root = mount("/api", api)
    for query, name in ((b"query", "included"), (b"", "second")):
        answer = request(root, f"{root_path}/api/a", root_path=root_path, query_string=query)
        assert answer.json()["endpoint"] == name


def test_a_mounted_fastapi_has_an_index_too(root_path: str) -> None:
    """An app mounted in the API is served by an index of its own, and both are set once."""
    api, inner = FastAPI(), sub()
    api.mount("/sub", inner)
    for _ in range(2):
        root = mount("/api", api)
    for router in (api.router, inner.router):
        assert type(router.middleware_stack).__module__ == straighten.__module__
    assert request(root, f"{root_path}/api/sub/a", root_path=root_path).json()["endpoint"] == "sub"


def test_a_router_of_another_class_is_left_alone(root_path: str) -> None:
    """Who routes in a way of its own goes on to do so."""

    class Own(APIRouter):
        async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("own")(scope, receive, send)

    api = FastAPI()
    own = api.router = copy.copy(api.router)
    own.__class__ = Own
    own.middleware_stack = own.app
    root = mount("/api", api)
    assert own.middleware_stack == own.app
    assert request(root, f"{root_path}/api/a", root_path=root_path).text == "own"


def test_the_names_that_are_not_public_are_there() -> None:
    """What the index takes from FastAPI and Starlette is there, and of the shape it counts on."""
    router = APIRouter()
    before = router._routes_version
    router.add_api_route("/a", endpoint("a"))
    assert router._routes_version > before
    api = FastAPI()
    api.include_router(router)
    included = api.routes[-1]
    assert isinstance(included, fastapi.routing._IncludedRouter)
    assert included.original_router is router
    assert [candidate.path_regex.pattern for candidate in included.effective_candidates()] == ["^/a$"]  # type: ignore[union-attr]
    assert starlette._utils.get_route_path({"path": "/pre/a", "root_path": "/pre"}) == "/a"
