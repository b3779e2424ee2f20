"""`mount()`, and the order of all layers: no other module calls what makes one. What a request passes, outermost first:

telemetry                           only where it is on: telemetry.observed_request
the root middleware                 mount(middleware=...)
the dispatcher                      application: health, prefixes, Host check, body limit

under the prefix of an app          all else
--------------------------          --------
routing.fallthrough                 staticfiles.app, with a Host check of its own
request_thread.request              request_thread.request
django_for_api.request_layer        django_half.handler
django_for_api.settings
django_for_api.middleware
preparation
fastpath.before_stack, fastpath.front
the app: its own middleware, api_docs.pages, exception_handlers, transactions, django_for_api.view_hooks, its routes
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from django.conf import settings
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from djfast_mount.api_docs.pages import ApiDocs
from djfast_mount.apis.loading import load_app, load_apps
from djfast_mount.application import MountedApplication, not_found
from djfast_mount.conf import option, with_settings
from djfast_mount.django_for_api.exports import (
    DjangoMiddleware,
    DjangoRequests,
    call_view_hooks,
    with_django_settings,
)
from djfast_mount.django_half.serving import make_handler, set_up_django
from djfast_mount.exception_handlers import add_exception_handlers
from djfast_mount.fastpath.before_stack import (
    Around,
    before,
    leave_to_fastapi,
    shortest_way,
    straighten,
    tell_if_unknown,
)
from djfast_mount.preparation import Preparation
from djfast_mount.routing.fallthrough import fall_through
from djfast_mount.security.hosts import HostCheck, bad_request
from djfast_mount.staticfiles.app import StaticFiles
from djfast_mount.telemetry.from_options import Unobserved, make_layers
from djfast_mount.transactions import honour_atomic_requests

__all__ = ["MountedApplication", "mount"]


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
    set_up_django()
    debug = settings.DEBUG if debug is None else debug
    layers = make_layers(MountedApplication, threads, wait_timeout, grace)
    hosts = HostCheck() if host_check else None
    apps = load_apps(prefix, app, debug=debug, django=django, django_prefix=django_prefix, fallthrough=fallthrough)
    docs = ApiDocs(docs_access, login=django, limits_bodies=max_body_size is not None, apps=apps)
    preparation = Preparation(apps, docs, _preparing(fast_path, django_middleware_for_api), django_prefix)
    served = _before_apps(preparation, django_middleware_for_api, django_prefix, apps)
    django_half = _django_half(django_handler, layers) if django else layers.led_to(not_found, "root")
    elsewhere = _with_files(django_half, static, docs.folder, hosts, django_prefix)
    return MountedApplication(
        apps,
        elsewhere,
        layers=layers,
        served=served,
        http=_http_of(served, layers, apps if fallthrough else None, django_half if django else None, elsewhere),
        websocket_app=None if websocket_app is None else load_app(websocket_app, "websocket_app"),
        middleware=middleware,
        lifespan=lifespan,
        debug=debug,
        hosts=hosts,
        max_body_size=max_body_size,
        serves_django=django,
        django_prefix=django_prefix,
        fallthrough=fallthrough,
        scopes=preparation.scopes(),
        usual={} if fallthrough or django_prefix else _usual(served, layers, apps, preparation),
    )


# Under the prefix of an app ----------------------------------------------------------------------------------------


def _http_of(
    served: Mapping[str, DjangoRequests],
    layers: Unobserved,
    asked: Mapping[str, ASGIApp] | None,
    django_half: ASGIApp | None,
    elsewhere: ASGIApp,
) -> Mapping[str, ASGIApp]:
    """Returns what http calls of each app come to first: `served` on the thread of their request.

    Args:
        asked: With `fallthrough`, the apps whose routes are asked before.
        django_half: What is behind them; None: nothing is.
        elsewhere: The same with the static files before it.
    """
    http = {path: _on_their_threads(app, layers) for path, app in served.items()}
    if asked is None:
        return http
    # An app at the root has the static files before it already.
    return fall_through(http, asked, django_half if django_half is None or "" in asked else elsewhere)


def _on_their_threads(app: ASGIApp, layers: Unobserved) -> ASGIApp:
    return partial(layers.threads.http, layers.led_to(app, "api"))


def _usual(
    served: Mapping[str, DjangoRequests],
    layers: Unobserved,
    apps: Mapping[str, ASGIApp],
    preparation: Preparation,
) -> Mapping[str, tuple[ASGIApp, Mapping[str, Any]]]:
    """Returns, by path, the shortest way to each app: see djfast_mount.routing.mounted.Usual."""
    return {
        path: (_on_their_threads(_shortest(app, each, preparation), layers), {**each.usual_scope, "app": app})
        for path, each in served.items()
        if isinstance(app := apps[path], Starlette)  # It puts itself into the scope. Others must not find the root.
    }


def _shortest(app: ASGIApp, served: DjangoRequests, preparation: Preparation) -> ASGIApp:
    if not isinstance(app, FastAPI) or isinstance(served.app, DjangoMiddleware):
        return served.usual
    return shortest_way(app, Around(served.usual, preparation.lists, served.held_to, served.headers))


def _before_apps(
    preparation: Preparation, chosen: Sequence[str] | None, django_prefix: str, apps: Mapping[str, ASGIApp]
) -> dict[str, DjangoRequests]:
    """Returns what all calls of each app come to, on the thread of their request, before they come to it itself."""
    return {path: _before_app(preparation, chosen, django_prefix, path, app) for path, app in apps.items()}


def _before_app(
    preparation: Preparation, chosen: Sequence[str] | None, django_prefix: str, prefix: str, app: ASGIApp
) -> DjangoRequests:
    # The innermost layer comes first.
    layer = before(app, is_direct=chosen is None) if isinstance(app, FastAPI) else app
    # Outside of the plans, which are made of the routes as they are at that moment.
    layer = preparation.meeting_new_ones(layer)
    if chosen is not None:
        layer = DjangoMiddleware(layer, app, chosen)
    return DjangoRequests(layer, prefix, django_prefix, with_django_settings(layer, prefix))


def _preparing(
    fast_path: bool, middleware: Sequence[str] | None
) -> Callable[[FastAPI | APIRouter, Sequence[Any]], None]:
    """Returns what puts into a FastAPI what its calls come to inside of its own middleware; and into an APIRouter.

    It is given the apps in which that one is mounted, too. Done twice it changes nothing.
    """
    if fast_path:
        tell_if_unknown()

    def prepare(api: FastAPI | APIRouter, above: Sequence[Any]) -> None:
        if isinstance(api, FastAPI):
            add_exception_handlers(api, problem_details=option("problem_details"))
        honour_atomic_requests(api)
        if isinstance(api, FastAPI) and fast_path:
            straighten(api, above)
        elif isinstance(api, FastAPI):
            leave_to_fastapi(api)
        if middleware is not None:
            call_view_hooks(api)

    return prepare


# All else ----------------------------------------------------------------------------------------------------------


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


def _django_half(kind: Literal["one_hop", "django"], layers: Unobserved) -> ASGIApp:
    handler, signals = make_handler(kind, layers.note_request)
    return partial(layers.threads.http, layers.led_to(handler, "django"), **signals)


def _guarded(hosts: HostCheck | None) -> Callable[[ASGIApp], ASGIApp] | None:
    """What holds an app to ALLOWED_HOSTS, if anything does."""
    if hosts is None:
        return None

    def guard(app: ASGIApp) -> ASGIApp:
        def checked(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            return (app if hosts.allows(scope) else bad_request)(scope, receive, send)

        return checked

    return guard
