"""`mount()`: the composition. What a request passes, outermost first:

telemetry                           only where it is on: telemetry.observed
the root middleware                 mount(middleware=...)
the dispatcher                      application: health, prefixes, Host check, body limit

under the prefix of an app          all else
--------------------------          --------
routing.fallthrough                 staticfiles.app, with a Host check of its own
request_thread.request              request_thread.request
django_for_api.request              django_half.handler
security.djangos_middleware
django_for_api.middleware           What stands between django_for_api.request and the app, and what is done to
apis.preparation                    each FastAPI inside, is listed in apis.preparation.
fastpath.front
the app: its own middleware, api_docs.pages, exception_handlers, transactions, its routes
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from django.conf import settings
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from djfast_mount.api_docs.pages import ApiDocs
from djfast_mount.apis.loading import load_app, load_apps
from djfast_mount.apis.preparation import Preparation
from djfast_mount.application import MountedApplication, bad_request, not_found
from djfast_mount.conf import option, with_settings
from djfast_mount.django_for_api import encoding
from djfast_mount.django_half.serving import serve_django, set_up_django
from djfast_mount.offload import run as offload
from djfast_mount.routing.fallthrough import route_paths, route_taking
from djfast_mount.routing.placement import Placement, RoutesOf, check_placement, note_placement
from djfast_mount.security.hosts import HostCheck
from djfast_mount.staticfiles.app import StaticFiles
from djfast_mount.telemetry.making import make_layers
from djfast_mount.url_names.api_patterns import register

__all__ = ["MountedApplication", "mount"]


def _guarded(hosts: HostCheck | None) -> Callable[[ASGIApp], ASGIApp] | None:
    """What holds an app to ALLOWED_HOSTS, if anything does."""
    if hosts is None:
        return None

    def guard(app: ASGIApp) -> ASGIApp:
        def checked(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            return (app if hosts.allows(scope) else bad_request)(scope, receive, send)

        return checked

    return guard


def _with_files(
    elsewhere: ASGIApp, static: bool, packaged: str | None, hosts: HostCheck | None, django_prefix: str
) -> ASGIApp:
    if not static and packaged is None:
        return elsewhere
    return StaticFiles(
        elsewhere,
        guard=_guarded(hosts),
        memory=option("static_memory"),
        packaged=packaged,
        alone=not static,
        django_prefix=django_prefix,
    )


def _set_up() -> None:
    set_up_django()
    offload.install()
    encoding.install()


def _noted(root: MountedApplication, apps: Mapping[str, ASGIApp]) -> MountedApplication:
    """Returns `root`, of which the system checks know now."""
    routes = {prefix: RoutesOf(partial(route_taking, app), partial(route_paths, app)) for prefix, app in apps.items()}
    note_placement(Placement(routes, root.django_prefix, root.falls_through, tuple(root.own_paths)))
    return root


@with_settings
def mount(
    prefix: str | Mapping[str, ASGIApp | str] = "/api",
    app: ASGIApp | str | None = None,
    *,
    django: bool = True,
    django_prefix: str = "",
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
    fast_path: bool = True,
    django_middleware_for_api: Sequence[str] | Literal["session", "all"] | None = None,
) -> MountedApplication:
    """Joins FastAPI and Django in one ASGI app. Call it once, in asgi.py, at import; it runs `django.setup()` itself.

    Every argument can be given in ``settings.DJFAST_MOUNT`` instead, under its name; the argument wins.

    Args:
        prefix: The path under which `app` is served, or a mapping of prefixes to apps. The longest prefix wins. It may
            be ``"/"``, with `django_prefix` or `fallthrough`.
        app: An ASGI app, ``"module:attribute"``, or None: a FastAPI made of every installed Django app's ``api.py``.
        django: Whether Django answers what is under no prefix. False leaves its ORM and settings only.
        django_prefix: The path under which Django answers, its script name, as in ``"/server"``. Empty: Django has what
            is under no prefix.
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
        fast_path: Whether a FastAPI's routes are found by an index and served by plans, as far as these know how.
            False: FastAPI's own way, which answers the same and is slower.
        django_middleware_for_api: Django middleware around each API call: import strings, ``"session"`` for those of
            session, user and messages alone, or ``"all"`` of ``MIDDLEWARE``. None: as far as a call asks for them.

    Raises:
        ConfigurationError: An argument, or what it names, is wrong. The message names the remedy.
    """
    _set_up()
    debug = settings.DEBUG if debug is None else debug
    layers = make_layers(MountedApplication, threads, wait_timeout, grace)
    hosts = HostCheck() if host_check else None
    elsewhere = serve_django(layers, django_handler) if django else layers.led_to(not_found, "root")
    apps = load_apps(prefix, app, debug=debug)
    check_placement(apps, django=django, django_prefix=django_prefix, fallthrough=fallthrough)
    docs = ApiDocs(docs_access, login=django, limits_bodies=max_body_size is not None)
    afterwards = partial(register, apps, django_prefix)
    preparation = Preparation(apps, docs, django_middleware_for_api, fast_path=fast_path, afterwards=afterwards)
    root = MountedApplication(
        apps,
        _with_files(elsewhere, static, docs.folder, hosts, django_prefix),
        layers=layers,
        websocket_app=None if websocket_app is None else load_app(websocket_app, "websocket_app"),
        middleware=middleware,
        lifespan=lifespan,
        debug=debug,
        hosts=hosts,
        max_body_size=max_body_size,
        serves_django=django,
        django_prefix=django_prefix,
        fallthrough=fallthrough,
        fronts=preparation.fronts(),
        scope=docs.scope,
        names=preparation.scopes(),
    )
    return _noted(root, apps)
