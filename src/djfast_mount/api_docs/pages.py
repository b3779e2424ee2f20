"""Who sees the docs pages and the schema of a mounted FastAPI, and the pages themselves.

1. Paths are the app's own: `docs_url`, `redoc_url`, `openapi_url`. What an app has switched off stays off.
2. Access is decided inside of the app's own middleware, for the pages and for the schema alike.
3. A page that FastAPI made is answered with this package's files; one that the project made instead is its own.
4. A route that a FastAPI has made for its docs asks for itself too, by whatever way it is reached: see `routes`.
5. An app that is served by something else than `mount()` has FastAPI's own pages, for everyone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import get_token
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.api_docs.access import ADMITTED, KEY, Access, docs_of, refusal, script_name
from djfast_mount.api_docs.admin_index import link_docs
from djfast_mount.api_docs.error_responses import add_error_responses
from djfast_mount.api_docs.files import FOLDER, DocsFiles
from djfast_mount.api_docs.html import DocsPage, Token, redoc, swagger_ui, swagger_ui_redirect
from djfast_mount.api_docs.routes import guard_routes
from djfast_mount.apis.own_handlers import answer_to
from djfast_mount.apis.tree import Found, fastapis_in
from djfast_mount.django_for_api.request_layer import call_of, get_request
from djfast_mount.security.djangos_middleware import security_headers

__all__ = ["ApiDocs", "Link", "links", "links_now"]

Kind = Literal["swagger_ui", "redoc", "redirect", "schema"]


class Link(NamedTuple):
    """A docs page, for who is to be led there: its title, and its path inside of the outer prefix."""

    title: str
    path: str


links: list[Link] = []
"""The docs pages of the last `mount()`, where there is anybody to see them."""
_linked: list[Mapping[str, ASGIApp]] = []


def links_now() -> list[Link]:
    """Returns `links`, with those of what has been mounted since the last call of an API. It changes nothing."""
    found = [each for apps in _linked for prefix, app in apps.items() for each in fastapis_in(app, prefix)]
    since = (link for each in found if each.app.openapi_url for link in _links(each.path, each.app))
    return list(dict.fromkeys((*links, *since)))


class ApiDocs:
    """The docs of one `mount()`: who sees them, and where their files are. Made at start-up.

    Args:
        access: As `mount()` takes it.
        login: Whether Django is there to log a browser in.
        limits_bodies: Whether a body can be too large.
        apps: What is mounted, by prefix.
    """

    def __init__(
        self, access: Access, *, login: bool, limits_bodies: bool = True, apps: Mapping[str, ASGIApp] | None = None
    ) -> None:
        self.access = access
        self.login = login
        self._limits_bodies = limits_bodies
        guard_routes()
        self.files = DocsFiles()
        links.clear()
        _linked[:] = [] if access is None or apps is None else [apps]

    def guard(self, found: Found) -> None:
        """Does what `guard_unseen` does, and has the admin link to its pages. A second call for it changes nothing."""
        self.guard_unseen(found.app)
        if self.access is not None and found.app.openapi_url:
            links.extend(link for link in _links(found.path, found.app) if link not in links)
        if links:
            link_docs()

    def guard_unseen(self, api: FastAPI) -> None:
        """Gives a FastAPI that serves a schema the docs' middleware. A second call for it changes nothing."""
        if not api.openapi_url:
            return
        add_error_responses(api, limits_bodies=self._limits_bodies)
        if not _has_docs(api):
            # The last is the innermost: an app's own CORS, and its own guard, go before.
            api.user_middleware.append(Middleware(DocsMiddleware, api=api))
            # Starlette builds the stack once. An earlier mount() of the same app may have done so.
            api.middleware_stack = None

    @property
    def folder(self) -> str | None:
        """The folder that is to be served with the static files; None where there are no docs."""
        return FOLDER if links else None

    @property
    def scope(self) -> dict[str, ApiDocs]:
        """What is to be in the scope of a call whose docs these are."""
        return {KEY: self}


def _has_docs(api: FastAPI) -> bool:
    classes: list[object] = [middleware.cls for middleware in api.user_middleware]
    return DocsMiddleware in classes


def _links(path: str, api: FastAPI) -> Iterator[Link]:
    if api.docs_url:
        yield Link(f"{api.title} - Swagger UI", path + api.docs_url)
    if api.redoc_url:
        yield Link(f"{api.title} - ReDoc", path + api.redoc_url)


class DocsMiddleware:
    """ASGI, inside of a FastAPI: answers its docs pages, and lets only those to the schema who may see it."""

    makes_no_calls_after = True
    """For djfast_mount.fastpath: a sync call of this is made before the app's, or in its place."""

    def __init__(self, app: ASGIApp, api: FastAPI) -> None:
        self.app = app
        self._api = api
        found: dict[str | None, Kind] = {
            api.swagger_ui_oauth2_redirect_url: "redirect",
            api.redoc_url: "redoc",
            api.docs_url: "swagger_ui",
            api.openapi_url: "schema",
        }
        self._paths = {path: kind for path, kind in found.items() if path}
        self.endings = tuple(self._paths)
        """For djfast_mount.fastpath: calls whose path ends in none of these are handed on, and no more."""
        self._made_by_fastapi = _made_by_fastapi(api)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # A plain function: most calls only pass, and a coroutine for each would slow them all.
        if scope["type"] == "http" and scope["path"].endswith(self.endings):
            docs = docs_of(scope)
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if docs is not None and path in self._paths:
                return self._serve(docs, path, scope, receive, send)
        return self.app(scope, receive, send)

    async def _serve(self, docs: ApiDocs, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(docs, path, request)
        except Exception as error:
            # Starlette's own place for the app's exception handlers is further in.
            answer = await answer_to(self._api.exception_handlers, request, error)
            if answer is None:
                raise
        if answer is None:
            scope[ADMITTED] = docs
        await (answer or self.app)(scope, receive, send)

    async def _answer(self, docs: ApiDocs, path: str, request: Request) -> Response | None:
        """What is answered in the place of the app, if anything is."""
        refused = await refusal(docs, request)
        if refused is not None:
            return refused
        kind = self._paths[path]
        if kind == "schema" or path not in self._made_by_fastapi or request.method not in ("GET", "HEAD"):
            return None
        if call_of(request) is None:
            return None  # The page needs our request, and this scope was made by hand.
        return _response(await self._page(docs, kind, request), request)

    async def _page(self, docs: ApiDocs, kind: Kind, request: Request) -> DocsPage:
        outer, name = _outer(request), script_name(request)
        root_path = request.scope["root_path"].rstrip("/")

        def files(file: str) -> str:
            return docs.files.url(file, outer, name)

        if kind == "redirect":
            return swagger_ui_redirect(files)
        if kind == "redoc":
            return redoc(self._api, root_path, files)
        return swagger_ui(self._api, root_path, files, _token(await get_request(request)))


def _made_by_fastapi(api: FastAPI) -> Collection[str]:
    routes = [route for route in api.routes if isinstance(route, Route)]
    return {route.path for route in routes if route.endpoint.__module__ == FastAPI.__module__}


def _outer(request: Request) -> str:
    call = call_of(request)
    return "" if call is None else call.outer.rstrip("/")


def _token(request: HttpRequest) -> Token | None:
    if not hasattr(request, "session"):
        return None  # No cookie authenticates anybody.
    header = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-")
    readable = not (settings.CSRF_USE_SESSIONS or settings.CSRF_COOKIE_HTTPONLY)
    return Token(header, settings.CSRF_COOKIE_NAME if readable else "", get_token(request))


def _response(page: DocsPage, request: Request) -> Response:
    # A token and a nonce are in it, and who may see it can change.
    response = HTMLResponse(page.html, headers={"cache-control": "no-store", **page.headers})
    is_secure = request.scope.get("scheme") == "https"
    for name, value in security_headers(is_secure, whatever_is_listed=True):
        response.headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return response
