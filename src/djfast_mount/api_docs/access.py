"""Who may see the docs of a FastAPI, and what the others are answered."""

from __future__ import annotations

import contextvars
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve, reverse, set_script_prefix
from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from djfast_mount.auth.schemes import authenticated, challenges
from djfast_mount.django_for_api.request_layer import call_of, get_request
from djfast_mount.exception_handlers.reports import wants_html
from djfast_mount.offload.current import current_response

__all__ = ["ADMITTED", "KEY", "Access", "Docs", "docs_of", "refusal", "script_name"]

KEY = "djfast_mount.docs"
"""The key in a scope of whose docs are asked for in the call."""

ADMITTED = "djfast_mount.docs_admitted"
"""The key in a scope of the docs that the caller may see, once that is known."""

Access = Literal["auto", "public", "staff"] | None


class Docs(Protocol):
    """The docs of one `mount()`."""

    access: Access
    """As `mount()` takes it."""

    login: bool
    """Whether Django is there to log a browser in."""


def docs_of(scope: Scope) -> Any:
    """Returns whose docs these are, a `Docs`; None outside of `mount()`.

    A caller may have made a scope of its own, in which they are not.
    """
    docs = scope.get(KEY)
    response = current_response()
    return response.scope.get(KEY) if docs is None and response is not None else docs


async def refusal(docs: Docs, request: Request) -> Response | None:
    """What is answered in the place of the docs to those who may not see them; None to those who may."""
    # 404, not 403: with `docs_access=None` there are no docs, and nothing is to tell that there could be.
    if docs.access is None:
        return JSONResponse({"detail": "Not Found"}, 404)
    if docs.access == "public" or (docs.access == "auto" and settings.DEBUG):
        return None
    try:
        user = await _user(request)
    # Answered here, since no handler of the app's stands around a docs page that a middleware answers.
    except HTTPException as wrong:
        return JSONResponse({"detail": wrong.detail}, wrong.status_code, wrong.headers)
    if user is not None and user.is_active and user.is_staff:
        return None
    refused = await _refusal_of_user(docs, request, anonymous=user is None or not user.is_authenticated)
    if docs.login:
        # The answer depends on Accept, which tells browsers from programs. A cache has to know.
        refused.headers.add_vary_header("Accept")
    return refused


async def _refusal_of_user(docs: Docs, request: Request, *, anonymous: bool) -> Response:
    """A redirect to the login page for a browser, where there is such a page; 401 or 403 for all others."""
    if docs.login and wants_html(request) and request.method in ("GET", "HEAD"):
        # A template or a URLconf may be loaded for it, which may ask the database.
        url = await run_in_threadpool(contextvars.copy_context().run, _login_url, script_name(request), anonymous)
        if url is not None:
            return RedirectResponse(f"{url}?{urlencode({'next': _place(request)})}", 302)
    if anonymous:
        return JSONResponse({"detail": "Not authenticated"}, 401, challenges())
    return JSONResponse({"detail": "Forbidden"}, 403)


async def _user(request: Request) -> Any:
    """Whom any scheme of the project names, or the session of the site. Raises HTTPException for a wrong credential."""
    user = await authenticated(connection=request)
    # If somebody made the scope by hand, it has no Django request. The session of the request around it is not its own.
    if user is None and call_of(request) is not None:
        # Where the API takes keys alone, the admin's users see its docs all the same.
        django_request: Any = await get_request(request)
        user = await django_request.auser() if hasattr(django_request, "auser") else None
    return user


def _place(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    # A path, never a whole URL: `next` must not lead to another host, whatever the Host header says.
    return str(request.scope["path"]) + (f"?{query}" if query else "")


def _login_url(name: str, anonymous: bool) -> str | None:
    """Where to log in as somebody of the staff, if there is such a page. Runs in a context of its own.

    The admin's page tells a user who is not of the staff so. Another site's page might send the user straight back.
    """
    set_script_prefix(f"{name}/")
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        url = resolve_url(settings.LOGIN_URL) if anonymous else ""
    # LOGIN_URL may be another site's: the browser would come back with no session here, and be sent away again for
    # ever.
    if not url.startswith(f"{name}/"):
        return None
    try:
        resolve(url.removeprefix(name))
    except Resolver404:
        return None
    return url


def script_name(request: Request) -> str:
    """Returns the prefix of Django's half, as the caller sees it."""
    call = call_of(request)
    return "" if call is None else call.outer.rstrip("/") + call.django_prefix
