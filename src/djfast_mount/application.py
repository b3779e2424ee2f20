"""The root: which half answers a request, and the lifespans. The order of all layers stands at the head of asgi.py.

telemetry, if it is on; then root middleware, if there is any
  the dispatcher: lifespan, websockets, http
    a path of health       the answer
    a prefix of ours       Host check, body limit, request thread, the mounted app
    Django's own prefix    body limit, static files (Host check), request thread, Django
    all else               body limit, static files (Host check), then the app at the root, or Django, or 404
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Container, Mapping, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from djfast_mount.health.paths import Health
from djfast_mount.lifespan.root_lifespan import ServedLifespans
from djfast_mount.request_thread.request import RequestThreads
from djfast_mount.routing.fallthrough import route_paths, route_taking, takes
from djfast_mount.routing.mounted import Mounted, Usual
from djfast_mount.routing.placement import Placement, RoutesOf, note_placement, outer_of
from djfast_mount.routing.prefixes import (
    NOTHING,
    SENT,
    PrefixRouter,
    child_scope,
    has_control_character,
    namespace_of,
    split_root_path,
)
from djfast_mount.routing.root_interface import Root
from djfast_mount.security.djangos_middleware import with_security_headers
from djfast_mount.security.hosts import HostCheck, refused_call
from djfast_mount.security.limits import BODY_HEADERS, within_limit
from djfast_mount.staticfiles.app import StaleFile, StaticFiles
from djfast_mount.telemetry.observable_root import Unobserved
from djfast_mount.threads.pool import Pool

__all__ = ["MountedApplication", "not_found"]

not_found = PlainTextResponse("Not Found", status_code=404)
"""ASGI: the answer where nobody has the path."""


async def _refused_path(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: answers 400 to a call of an API with a control character in its path."""
    response = JSONResponse({"detail": "Bad Request"}, status_code=400)
    await response(scope, receive, with_security_headers(scope, send))


def _nothing() -> None:
    """What is to be done when the last thread of a root that is gone has ended."""


Match = tuple[str, Mounted | None]
"""The prefix that owns a path, and what is served there; None: Django's half."""


class _Everything:
    def __contains__(self, item: object) -> bool:
        return True


class MountedApplication(Root):
    """The root: what `mount()` returns.

    A Starlette whose `routes`, `url_path_for`, `add_middleware` and `add_exception_handler` work as usual. Its dispatch
    is its own.

    Args:
        apps: What is mounted, by prefix, as the user gave it.
        elsewhere: What answers http where no prefix matches.
        layers: Where the root lets itself be observed, and its threads.
        served: What all calls of each app come to on the thread of their request.
        http: The same for http calls, with all that stands before it.
        hosts: What the API, static files and websockets are held to.
        scopes: What is to be in the scope of each call of an app, by prefix.
        usual: What http calls of an app may come to at once, by prefix.

    The others are as `mount()` takes them.
    """

    health: Health
    _websocket_app: Mounted | None = None
    _known_hosts: Container[bytes | None]

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        elsewhere: ASGIApp,
        *,
        layers: Unobserved,
        websocket_app: ASGIApp | None = None,
        middleware: Sequence[Middleware] = (),
        lifespan: Lifespan[Any] | None = None,
        debug: bool = False,
        hosts: HostCheck | None = None,
        max_body_size: int | None = None,
        serves_django: bool = True,
        django_prefix: str = "",
        fallthrough: bool = False,
        served: Mapping[str, ASGIApp],
        http: Mapping[str, ASGIApp],
        scopes: Mapping[str, Mapping[str, Any]] = NOTHING,
        usual: Mapping[str, Usual] = NOTHING,
    ) -> None:
        routes = [Mount(prefix, app=app, name=namespace_of(prefix)) for prefix, app in apps.items()]
        super().__init__(debug=debug, routes=routes, middleware=middleware)
        self.serves_django, self.django_prefix = serves_django, django_prefix
        self.falls_through = fallthrough
        # Starlette's own limit wraps `receive` for every request, and Django's half would not be told of it.
        self.body_limit = max_body_size
        self._hosts = hosts
        self._known_hosts = _Everything() if hosts is None else hosts.known
        self._layers = layers
        threads: RequestThreads = layers.threads
        self._threads = threads
        self._answer_itself({*apps, django_prefix})
        self._look_behind(elsewhere)
        self._lifespans = lifespans = ServedLifespans(
            apps, threads=threads, lifespan=lifespan, websocket_app=websocket_app, readiness=self.health.lifespan
        )
        # Without a lifespan nobody ends the threads. So they end when the root is collected.
        weakref.finalize(self, threads.pool.shutdown, _nothing).atexit = False
        mounted = self._mounted(apps, http, served, scopes, usual)
        if websocket_app is not None:
            others = layers.led_to(websocket_app, "websocket")
            self._websocket_app = Mounted(not_found, others, lifespans.of(websocket_app))
        self._prefixes = PrefixRouter({**mounted, django_prefix: None} if django_prefix else mounted)
        self._know_paths(elsewhere, mounted, apps.get(""))
        self._follow_script_name()
        self._note_placement(apps)

    def _mounted(
        self,
        apps: Mapping[str, ASGIApp],
        http: Mapping[str, ASGIApp],
        served: Mapping[str, ASGIApp],
        scopes: Mapping[str, Mapping[str, Any]],
        usual: Mapping[str, Usual],
    ) -> dict[str, Mounted | None]:
        lifespans = self._lifespans
        return {
            prefix: Mounted(
                http[prefix],
                self._layers.led_to(served[prefix], "api"),
                lifespans.of(app),
                {**lifespans.scope, **scopes.get(prefix, NOTHING)},
                usual.get(prefix),
            )
            for prefix, app in apps.items()
        }

    def _answer_itself(self, taken: set[str]) -> None:
        """Finds what the root answers itself. `taken` are the prefixes of others."""
        layers = self._layers
        self.health = Health(self._threads, taken, layers.paths, self._end_connections)
        self.own_paths = {**layers.paths, **self.health.paths}
        self._own = {path: layers.led_to(app, "health", path) for path, app in self.own_paths.items()}

    def _end_connections(self) -> None:
        """Has each response be the last of its connection while the process drains."""
        self.middleware_stack = self.health.ending_connections(self.middleware_stack or self.build_middleware_stack())

    def _look_behind(self, elsewhere: ASGIApp) -> None:
        self.elsewhere = elsewhere
        self.static_files = files = elsewhere if isinstance(elsewhere, StaticFiles) else None
        self._serve_elsewhere = self._layers.led_to(files.serve, "static") if files else elsewhere
        self._django = files.app if files else elsewhere

    @property
    def pool(self) -> Pool:
        """Whose threads do the sync work of both halves."""
        return self._threads.pool

    def _note_placement(self, apps: Mapping[str, ASGIApp]) -> None:
        """Tells the system checks of the root, which serves `apps`."""
        taking = {
            prefix: RoutesOf(partial(route_taking, app), partial(route_paths, app)) for prefix, app in apps.items()
        }
        note_placement(Placement(taking, self.django_prefix, self.falls_through, tuple(self.own_paths)))

    def _files_of(self, elsewhere: ASGIApp) -> Mapping[str, ASGIApp]:
        """The static files that are known from the start, less those whose paths the prefix of an app owns."""
        # Under these prefixes a static file goes before the owner of the path: the app at the root, or Django.
        places = {"", self.django_prefix} if self._root_app is not None or self.django_prefix else set()
        self._places_of_files = places
        if not isinstance(elsewhere, StaticFiles):
            return NOTHING
        if places:
            elsewhere.app = self._behind_files
        owners, led_to = self._prefixes.owners(elsewhere.files), self._layers.led_to
        return {
            path: led_to(file, "static")
            for path, file in elsewhere.files.items()
            if path not in owners or owners[path] in places
        }

    def _know_paths(self, elsewhere: ASGIApp, mounted: Mapping[str, Mounted | None], root: ASGIApp | None) -> None:
        """Notes what each path of health and of a file leads to, and under which prefixes there is no such path."""
        self._root_app = root
        self._exact = {**self._files_of(elsewhere), **self._own}
        shared = {*self._prefixes.owners(self._exact).values(), *self._places_of_files}
        # The longest prefix comes first, since it wins. The empty one at the end matches every path.
        self._without_script_name: list[tuple[str, Mounted | None]] = [
            (prefix + "/", None if target is None or prefix in shared else target.where_nothing_is_around(prefix))
            for prefix, target in sorted(mounted.items(), key=lambda item: -len(item[0]))
        ]
        self._without_script_name.append(("", None))
        self._prefixes_alone = frozenset(mounted)
        # Who answers the paths under no prefix, if no path has to be looked up for that. Otherwise None.
        asks = bool(self._places_of_files) or (isinstance(elsewhere, StaticFiles) and not elsewhere.knows_all)
        self._behind_all = None if asks else self._django

    def _follow_script_name(self) -> None:
        self._read_script_name()
        # Django's signals hold receivers weakly: a root that is dropped goes.
        setting_changed.connect(self._read_script_name)

    def _read_script_name(self, **_: object) -> None:
        self._forced = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
        self._script_name = outer_of(self._forced, self.django_prefix)
        self._usual = [("", None)] if self._script_name else self._without_script_name
        self._straight_on = None if self._script_name else self._behind_all

    def build_middleware_stack(self) -> ASGIApp:
        """Returns the dispatcher, inside of the root middleware and the exception handlers if there are any."""
        app = self._middleware_stack()
        return self._layers.around(app, alone=app == self._dispatch)

    def _middleware_stack(self) -> ASGIApp:
        if not self.user_middleware and not self.exception_handlers:
            return self._dispatch
        errors = {key: handler for key, handler in self.exception_handlers.items() if key in (500, Exception)}
        handlers = {key: handler for key, handler in self.exception_handlers.items() if key not in errors}
        app: ASGIApp = ExceptionMiddleware(self._dispatch, handlers=handlers, debug=self.debug)
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        return ServerErrorMiddleware(app, handler=next(iter(errors.values()), None), debug=self.debug)

    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._serve_other(scope, receive, send)
        # Every request passes here. So calls are written out, settings are not read, and this is a plain function: a
        # coroutine of its own would slow every request.
        path, raw_headers = scope["path"], scope["headers"]
        headers = dict(raw_headers)
        for below, usual in self._usual:  # noqa: B007
            if path.startswith(below):
                break
        if usual is None:
            served = self._serve_at_once(below, headers, scope, receive, send)
            if served is not None:
                return served
        elif (
            headers.get(b"host") in self._known_hosts
            and len(headers) == len(raw_headers)  # As many as names: no second Host among them.
            and path.isprintable()
            and not (scope.get("root_path") or "router" in scope)
        ):
            child: Scope = {**scope, **usual.scope, SENT: (scope["method"], tuple(raw_headers))}
            if usual.participant.state:
                usual.put_state(child)
            # Without both of these there is no body that could be over the limit.
            if scope.get("http_version") == "1.1" and BODY_HEADERS.isdisjoint(headers):
                return usual.http(child, receive, send)
            return within_limit(self.body_limit, usual.http, headers, child, receive, send)
        return self._serve_decided(headers, scope, receive, send)

    def _serve_decided(self, headers: Mapping[bytes, bytes], scope: Scope, *ends: Any) -> Awaitable[None]:
        app, child = self._decide(scope, headers)
        if child is not scope:
            return within_limit(self.body_limit, app, headers, child, *ends)
        return app(scope, *ends)

    def _serve_at_once(
        self, below: str, headers: Mapping[bytes, bytes], scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        """Has a usual request that is no call of an app served by what `_decide` would find; None: ask that.

        Args:
            below: The prefix that its path begins with.
        """
        if scope.get("root_path") or "router" in scope or scope.get("http_version") != "1.1":
            return None
        if not BODY_HEADERS.isdisjoint(headers):
            return None
        path = scope["path"]
        if path in self._exact:
            if headers.get(b"host") in self._known_hosts and len(headers) == len(scope["headers"]):
                return self._send_file(self._exact[path], scope, receive, send)
        elif not below and self._straight_on is not None and path not in self._prefixes_alone:
            child = {**scope, "root_path": ""}
            child.pop("app", None)  # It is the root, which must not be what the child finds: see child_scope().
            return self._straight_on(child, receive, send)
        return None

    def _decide(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[ASGIApp, Scope]:
        """What answers a request, and its scope: `scope` itself where the answer is not to depend on its body."""
        outer, path = self._position(scope)
        if path in self._own:
            return self._own[path], scope
        if path in self._exact and self._is_open(scope, headers):
            return partial(self._send_file, self._exact[path]), scope
        match = self._prefixes.match(path)
        if match is not None and not (match[0] in self._places_of_files and self._may_be_file(outer, path)):
            return self._owner(match, scope, outer, path)
        # Django takes FORCE_SCRIPT_NAME off the path, whatever the server's root_path says.
        return self._serve_elsewhere, child_scope(scope, self._script_name or outer, path)

    def _owner(self, match: Match, scope: Scope, outer: str, path: str) -> tuple[ASGIApp, Scope]:
        """The app whose prefix `path` is under, and its scope; with `scope` itself what refuses the request."""
        prefix, target = match
        inside = path[len(prefix) :] or "/"
        if target is None:  # Django checks the Host itself.
            return self._django, child_scope(scope, self._forced or outer + prefix, inside)
        if has_control_character(path):
            return _refused_path, scope
        if not self._allows(scope):
            return refused_call, scope
        return target.http, target.child_of(scope, outer + prefix, inside)

    def _is_open(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request has a host that has been let in, and no body that could be over the limit."""
        is_known = headers.get(b"host") in self._known_hosts and len(headers) == len(scope["headers"])
        return is_known and scope.get("http_version") == "1.1" and BODY_HEADERS.isdisjoint(headers)

    def _may_be_file(self, outer: str, path: str) -> bool:
        return isinstance(self.elsewhere, StaticFiles) and self.elsewhere.could_answer(outer, path)

    async def _behind_files(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a path leads to that might have been a file's, and is not: for a root where Django is not at the end."""
        outer = scope["root_path"]
        path = scope["path"][len(outer) :]
        match = self._prefixes.match(path)
        app, child = (not_found, scope) if match is None else self._owner(match, scope, outer, path)
        await app(child, receive, send)

    async def _send_file(self, file: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends a static file that is known from the start: it needs no scope of its own."""
        try:
            await file(scope, receive, send)
        except StaleFile:
            outer, path = self._position(scope)
            await self._serve_elsewhere(child_scope(scope, self._script_name or outer, path), receive, send)

    def _allows(self, scope: Scope) -> bool:
        return self._hosts is None or self._hosts.allows(scope)

    def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        if kind == "websocket":
            return self._websocket(scope, receive, send)
        if kind == "lifespan":
            self.health.expect_lifespan()
            return self._lifespans.run(scope, receive, send)
        raise ValueError(
            f"djfast_mount serves the scope types 'http', 'websocket' and 'lifespan', not {kind!r} "
            "(ASGI asks an app to raise for a type it does not know)."
        )

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        outer, path = self._position(scope)
        target = self._websocket_app
        refused = not self._allows(scope)
        match = self._prefixes.match(path)
        if match is not None and not (match[0] == "" and self._passes_by(scope, outer, path)):
            refused = refused or has_control_character(path)
            prefix, owner = match
            outer, path = (outer if owner else self._forced or outer) + prefix, path[len(prefix) :] or "/"
            target = owner or target
        if refused or target is None:
            # Closed before it was accepted: the server answers 403 (ASGI specification, "Websocket Close").
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            child = target.child_of(scope, outer, path)
            await self._threads.websocket(target.app, child, receive, send)

    def _passes_by(self, scope: Scope, outer: str, path: str) -> bool:
        """Whether a websocket goes past the app at the root, which has no route for it, to `websocket_app`."""
        if self._websocket_app is None or not self.falls_through:
            return False
        return not takes(self._root_app, child_scope(scope, outer, path))

    def _position(self, scope: Scope) -> tuple[str, str]:
        """The outer prefix, and the path inside of it."""
        outer = scope.get("root_path") or self._script_name
        return split_root_path(outer, scope["path"]) if outer else ("", scope["path"])
