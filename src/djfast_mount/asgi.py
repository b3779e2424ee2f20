"""`mount()`: the composition. The only module that knows the order of the layers.

root middleware, if there is any
  the dispatcher: lifespan, websockets, http
    a path of health       the answer
    a prefix of ours       Host check, body limit, request thread, the mounted app
    all else               body limit, static files (Host check), request thread, Django
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import django as django_package
from django.apps import apps as installed_apps
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import setting_changed
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from djfast_mount.api_docs.pages import ApiDocs
from djfast_mount.apis.loading import load_app, load_apps
from djfast_mount.apis.preparation import fronts, prepare
from djfast_mount.conf import option, with_settings
from djfast_mount.database.connections import PoolThread, note_started
from djfast_mount.django_for_api.request import DjangoRequests
from djfast_mount.django_half.fresh_templates import keep_fresh
from djfast_mount.django_half.handler import DjangoHandler, undisturbed
from djfast_mount.exceptions import PoolTimeout
from djfast_mount.fastpath import dependency_solving
from djfast_mount.health import Health
from djfast_mount.lifespan import garbage
from djfast_mount.lifespan.participants import Lifespans, Participant
from djfast_mount.lifespan.sigterm import Grace
from djfast_mount.offload import run as offload
from djfast_mount.request_thread.request import RequestThreads
from djfast_mount.routing.fallthrough import fall_through
from djfast_mount.routing.prefixes import (
    NOTHING,
    PrefixRouter,
    child_scope,
    has_control_character,
    namespace_of,
    split_root_path,
)
from djfast_mount.security.djangos_middleware import with_security_headers
from djfast_mount.security.hosts import HostCheck
from djfast_mount.security.limits import BODY_HEADERS, CountedBody, declared_too_large, needs_counting, too_large
from djfast_mount.staticfiles.app import StaticFiles
from djfast_mount.staticfiles.contents import StaleFile
from djfast_mount.threads.pool import Pool
from djfast_mount.url_names.api_patterns import register
from djfast_mount.url_names.url_for import names_of_both

__all__ = ["MountedApplication", "mount"]

_THREADS = 8

_not_found = PlainTextResponse("Not Found", status_code=404)


async def _bad_request(scope: Scope, receive: Receive, send: Send) -> None:
    response = PlainTextResponse("Bad Request", status_code=400)
    await response(scope, receive, with_security_headers(scope, send))


class _Mounted(NamedTuple):
    """What is served under a prefix."""

    http: ASGIApp
    app: ASGIApp
    participant: Participant
    scope: Mapping[str, Any] = NOTHING
    """What the app is to find in the scope of its calls, besides what the server puts there."""


class MountedApplication(Starlette):
    """The root: what `mount()` returns.

    A Starlette whose `routes`, `url_path_for`, `add_middleware` and `add_exception_handler` work as usual. Its dispatch
    is its own.
    """

    _websocket_app: _Mounted | None = None

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        elsewhere: ASGIApp,
        *,
        threads: RequestThreads,
        websocket_app: ASGIApp | None = None,
        middleware: Sequence[Middleware] = (),
        lifespan: Lifespan[Any] | None = None,
        debug: bool = False,
        hosts: HostCheck | None = None,
        max_body_size: int | None = None,
        serves_django: bool = True,
        fallthrough: bool = False,
        fronts: Mapping[str, ASGIApp],
        scope: Mapping[str, Any] = NOTHING,
    ) -> None:
        routes = [Mount(prefix, app=app, name=namespace_of(prefix)) for prefix, app in apps.items()]
        super().__init__(debug=debug, routes=routes, middleware=middleware)
        self.serves_django = serves_django
        self.falls_through = fallthrough
        # Starlette's own limit wraps `receive` for every request, and Django's half would not be told of it.
        self.body_limit = max_body_size
        self._hosts = hosts
        self._read_script_name()
        setting_changed.connect(self._read_script_name)
        self._threads = threads
        self.health = Health(threads, apps)
        self.elsewhere = elsewhere
        self._serve_elsewhere = elsewhere.serve if isinstance(elsewhere, StaticFiles) else elsewhere
        # By identity: an app under two prefixes has one lifespan.
        live = {
            id(app): Participant(f"the app at {prefix!r}", threads.outside_requests(app))
            for prefix, app in apps.items()
        }
        served = {prefix: DjangoRequests(fronts[prefix], prefix) for prefix in apps}
        http: dict[str, ASGIApp] = {prefix: partial(threads.http, app) for prefix, app in served.items()}
        if fallthrough:
            http = fall_through(http, apps, elsewhere if serves_django else None)
        mounted = {
            prefix: _Mounted(http[prefix], served[prefix], live[id(app)], {**scope, **names_of_both(app)})
            for prefix, app in apps.items()
        }
        self._prefixes = PrefixRouter(mounted)
        self._files = self._files_of(elsewhere)
        if websocket_app is not None:
            own = Participant("websocket_app", threads.outside_requests(websocket_app))
            self._websocket_app = _Mounted(_not_found, websocket_app, live.setdefault(id(websocket_app), own))
        self._lifespans = Lifespans([*self._first_participants(lifespan), *live.values(), *self._last_participants()])

    def _files_of(self, elsewhere: ASGIApp) -> Mapping[str, ASGIApp]:
        """The static files that are known from the start, less those whose paths a prefix owns."""
        files = elsewhere.files if isinstance(elsewhere, StaticFiles) else NOTHING
        return {path: file for path, file in files.items() if self._prefixes.match(path) is None}

    def _first_participants(self, lifespan: Lifespan[Any] | None) -> list[Participant]:
        first = [Participant("the thread pool", self._threads.lifespan)]
        if lifespan is not None:
            root = self._threads.outside_requests(Router(lifespan=lifespan))
            first.append(Participant("the root's lifespan", root, shared=True))
        return first

    def _last_participants(self) -> list[Participant]:
        # Ready is what has all else done; it makes next to nothing that the collector would have to look at.
        collector = [Participant("the garbage collector", garbage.lifespan)] if option("tune_gc") else []
        return [*collector, Participant("the readiness", self.health.lifespan)]

    def _read_script_name(self, **_: object) -> None:
        self._script_name = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")

    def build_middleware_stack(self) -> ASGIApp:
        """Returns the dispatcher, inside of the root middleware and the exception handlers if there are any."""
        if not self.user_middleware and not self.exception_handlers:
            return self._dispatch
        errors = {key: handler for key, handler in self.exception_handlers.items() if key in (500, Exception)}
        handlers = {key: handler for key, handler in self.exception_handlers.items() if key not in errors}
        app: ASGIApp = ExceptionMiddleware(self._dispatch, handlers=handlers, debug=self.debug)
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        return ServerErrorMiddleware(app, handler=next(iter(errors.values()), None), debug=self.debug)

    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        if kind == "http":
            return self._http(scope, receive, send)
        if kind == "websocket":
            return self._websocket(scope, receive, send)
        if kind == "lifespan":
            self.health.expect_lifespan()
            return self._lifespans.run(scope, receive, send)
        raise ValueError(
            f"djfast_mount serves the scope types 'http', 'websocket' and 'lifespan', not {kind!r} "
            "(ASGI asks an app to raise for a type it does not know)."
        )

    def _http(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # The path that every request takes: what could be a call is written out, settings are not asked, and it is no
        # coroutine function, each of which costs its time.
        outer = scope.get("root_path") or self._script_name
        outer, path = split_root_path(outer, scope["path"]) if outer else ("", scope["path"])
        if path in self.health.paths:
            return self.health.paths[path](scope, receive, send)
        raw_headers = scope["headers"]
        headers = dict(raw_headers)
        # None too where there is no body that could be over it.
        limit = None if scope.get("http_version") == "1.1" and BODY_HEADERS.isdisjoint(headers) else self.body_limit
        hosts = self._hosts
        # As many headers as names: no second Host among them.
        known = hosts is None or (headers.get(b"host") in hosts.known and len(headers) == len(raw_headers))
        if limit is None and known and path in self._files:
            return self._send_file(path, outer, scope, receive, send)
        match = self._prefixes.match(path)
        if match is None:
            app = self._serve_elsewhere
            # Django takes FORCE_SCRIPT_NAME off the path, whatever the server's root_path says.
            child = child_scope(scope, self._script_name or outer, path)
        else:
            prefix, target = match
            app = target.http
            if has_control_character(path) or not (known or self._allows(raw_headers)):
                return _bad_request(scope, receive, send)
            child = self._child_of(target, scope, outer + prefix, path[len(prefix) :] or "/")
        if limit is None:
            return app(child, receive, send)
        if declared_too_large(headers, limit):
            return too_large(scope, receive, send)
        if needs_counting(scope, headers):
            return CountedBody(limit, receive, send)(app, child)
        return app(child, receive, send)

    async def _send_file(self, path: str, outer: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends a static file that is known from the start, to a host that was let in: it needs no scope of its own."""
        try:
            await self._files[path](scope, receive, send)
        except StaleFile:
            await self._serve_elsewhere(child_scope(scope, self._script_name or outer, path), receive, send)

    def _allows(self, raw_headers: Sequence[tuple[bytes, bytes]]) -> bool:
        return self._hosts is None or self._hosts.allows(raw_headers)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        outer, path = self._position(scope)
        target = self._websocket_app
        refused = not self._allows(scope["headers"])
        match = self._prefixes.match(path)
        if match is not None:
            refused = refused or has_control_character(path)
            prefix, target = match
            outer, path = outer + prefix, path[len(prefix) :] or "/"
        if refused or target is None:
            # Closed before it was accepted: the server answers 403 (ASGI specification, "Websocket Close").
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            child = self._child_of(target, scope, outer, path)
            await self._threads.websocket(target.app, child, receive, send)

    def _position(self, scope: Scope) -> tuple[str, str]:
        """The outer prefix, and the path inside of it."""
        outer = scope.get("root_path") or self._script_name
        return split_root_path(outer, scope["path"]) if outer else ("", scope["path"])

    @staticmethod
    def _child_of(target: _Mounted, scope: Scope, root_path: str, path: str) -> Scope:
        child = child_scope(scope, root_path, path, target.scope)
        if state := target.participant.state:
            child["state"] = {**scope.get("state", {}), **state}
        return child


def _pool(threads: int | None, wait_timeout: float) -> Pool:
    return Pool(
        threads or _THREADS,
        PoolThread(MountedApplication),
        wait_timeout=wait_timeout,
        timeout_error=partial(PoolTimeout, wait_timeout),
    )


def _request_threads(pool: Pool, seconds: float | None) -> RequestThreads:
    grace = None if seconds is None else Grace(seconds)
    send_timeout, warn_after = option("send_timeout"), option("warn_after")
    return RequestThreads(pool, MountedApplication, send_timeout=send_timeout, warn_after=warn_after, grace=grace)


def _guarded(hosts: HostCheck | None) -> Callable[[ASGIApp], ASGIApp] | None:
    """What holds an app to ALLOWED_HOSTS, if anything does."""
    if hosts is None:
        return None

    def guard(app: ASGIApp) -> ASGIApp:
        def checked(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            return (app if hosts.allows(scope["headers"]) else _bad_request)(scope, receive, send)

        return checked

    return guard


def _with_files(elsewhere: ASGIApp, static: bool, packaged: str | None, hosts: HostCheck | None) -> ASGIApp:
    if not static and packaged is None:
        return elsewhere
    memory = option("static_memory")
    return StaticFiles(elsewhere, guard=_guarded(hosts), memory=memory, packaged=packaged, alone=not static)


def _django(threads: RequestThreads, kind: Literal["one_hop", "django"]) -> ASGIApp:
    if kind == "one_hop":
        return partial(threads.http, cast(ASGIApp, DjangoHandler()), sender=ASGIHandler)
    note_started()
    return partial(threads.http, undisturbed(cast(ASGIApp, ASGIHandler())), announces=False)


def _set_up() -> None:
    if not installed_apps.ready:
        # As django.core.asgi.get_asgi_application() does: the script prefix is known with the request only.
        django_package.setup(set_prefix=False)
    offload.install()
    dependency_solving.install()


@with_settings
def mount(
    prefix: str | Mapping[str, ASGIApp | str] = "/api",
    app: ASGIApp | str | None = None,
    *,
    django: bool = True,
    static: bool = True,
    websocket_app: ASGIApp | str | None = None,
    middleware: Sequence[Middleware] = (),
    lifespan: Lifespan[Any] | None = None,
    debug: bool | None = None,
    host_check: bool = True,
    max_body_size: int | None = 100 * 2**20,
    threads: int | None = None,
    wait_timeout: float = 10.0,
    grace: float | None = None,
    docs_access: Literal["auto", "public", "staff"] | None = "auto",
    fallthrough: bool = False,
    django_handler: Literal["one_hop", "django"] = "one_hop",
    django_middleware_for_api: Sequence[str] | Literal["session", "all"] | None = None,
) -> MountedApplication:
    """Joins FastAPI and Django in one ASGI app. Call it once, in asgi.py, at import; it runs `django.setup()` itself.

    Every argument can be given in ``settings.DJFAST_MOUNT`` instead, under its name; the argument wins.

    Args:
        prefix: The path under which `app` is served, or a mapping of prefixes to apps. The longest prefix wins.
        app: An ASGI app, ``"module:attribute"``, or None: a FastAPI made of every installed Django app's ``api.py``.
        django: Whether Django answers what is under no prefix. False leaves its ORM and settings only.
        static: Whether static files are served, by WhiteNoise's rules and settings.
        websocket_app: The ASGI app for websockets under no prefix. None: they are refused with 403.
        middleware: Starlette middleware around both halves.
        lifespan: The root's own lifespan context. It starts before every app's, and all of them see its state.
        debug: Whether an error in root middleware, and a FastAPI made here, show a traceback. None: ``settings.DEBUG``.
        host_check: Whether the API, static files and websockets are held to ``ALLOWED_HOSTS``. Django does it itself.
        max_body_size: The most bytes of a request body, in both halves; more is answered 413. None: no limit.
        threads: The most threads for sync work, and so the most connections for each database alias. None: 8.
        wait_timeout: Seconds that a request waits for a thread; then it is answered 503 with ``Retry-After``.
        grace: Seconds from SIGTERM within which the process ends, whatever a request does: event streams are ended at
            once, running statements cancelled shortly before. None: as long as the server waits.
        docs_access: Who sees a FastAPI's docs pages and its schema: ``"public"``, ``"staff"``, ``"auto"`` (everyone in
            DEBUG, the staff otherwise), or None: nobody.
        fallthrough: Whether a path under a prefix that no route of the app matches goes on to Django.
        django_handler: ``"one_hop"`` runs a sync Django view with all its middleware in one hop to the thread,
            ``"django"`` uses Django's own handler, with a hop for each.
        django_middleware_for_api: Django middleware around each API call: import strings, ``"session"`` for those of
            session, user and messages alone, or ``"all"`` of ``MIDDLEWARE``. None: as far as a call asks for them.

    Raises:
        ConfigurationError: An argument, or what it names, is wrong. The message names the remedy.
    """
    _set_up()
    if settings.DEBUG:
        keep_fresh()
    debug = settings.DEBUG if debug is None else debug
    request_threads = _request_threads(_pool(threads, wait_timeout), grace)
    hosts = HostCheck() if host_check else None
    elsewhere = _django(request_threads, django_handler) if django else _not_found
    apps = load_apps(prefix, app, debug=debug)
    prepare(apps.values())
    docs = ApiDocs(docs_access, apps, login=django)
    register(apps)
    return MountedApplication(
        apps,
        _with_files(elsewhere, static, docs.folder, hosts),
        threads=request_threads,
        websocket_app=None if websocket_app is None else load_app(websocket_app, "websocket_app"),
        middleware=middleware,
        lifespan=lifespan,
        debug=debug,
        hosts=hosts,
        max_body_size=max_body_size,
        serves_django=django,
        fallthrough=fallthrough,
        fronts=fronts(apps, django_middleware_for_api),
        scope=docs.scope,
    )
