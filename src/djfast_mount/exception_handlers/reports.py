"""Errors of API calls, reported as Django reports those of its views: signal, log, mail to ADMINS, technical page."""

from __future__ import annotations

import http
import logging
import traceback
from collections.abc import Callable, Iterator
from io import BytesIO
from types import TracebackType
from typing import Any, cast

import anyio.to_thread
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import got_request_exception
from django.db.models import QuerySet
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import Promise
from django.utils.log import AdminEmailHandler, log_response
from django.views.debug import technical_500_response
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from djfast_mount.django_for_api.request_layer import call_of
from djfast_mount.exceptions import PoolTimeout
from djfast_mount.routing.endpoints import endpoint_name

__all__ = [
    "log",
    "more_members",
    "on_thread",
    "report",
    "route_name",
    "technical_page",
    "tell_the_remedy",
    "told_of_report",
    "traceback_lines",
    "wants_html",
]

logger = logging.getLogger("django.request")

_ASKED_ON_THE_LOOP = (
    "ran a query on the event loop. Write it as a plain def, or use async methods (aget, acreate and async for of the "
    "ORM; aread, acreate and aupdate of a schema) and fetch what is nested by select_related and prefetch_related."
)
_RETURNED_A_QUERYSET = (
    "returned a QuerySet, whose query would run on the event loop. Write the endpoint as a plain def, or return "
    "[row async for row in queryset]."
)
_RETURNED_NO_TEXT = (
    "returned a file of Django's, or a lazy text, where its schema has a str. Return file.url or str(text), or use a "
    "ModelSchema, which shows the URL of a file."
)
_RETURNED_A_RESPONSE = (
    "returned a response of Django's, and is declared to return something else. Declare the route with "
    "response_model=None: the response is then sent as it is."
)
_FRAMEWORK = {"anyio", "asgiref", "concurrent", "contextlib", "djfast_mount", "fastapi", "starlette"}


def log(
    request: Request,
    response: Response,
    *,
    message: str | None = None,
    error: BaseException | None = None,
    by: logging.Logger = logger,
    level: str | None = None,
) -> None:
    """Logs as Django's handler does: a warning from 400 on, an error from 500 on, with the HttpRequest in the record.

    An error is mailed to ADMINS where Django's logging is set so. That may block: see `on_thread()`. Without a message,
    the words for the status are one.
    """
    log_response(
        "%s: %s",
        message or http.HTTPStatus(response.status_code).phrase,
        f"{request.scope['path']} ({route_name(request.scope)})",
        response=cast(Any, response),
        request=_django_request(request),
        logger=by,
        level=level,
        exception=error,
    )


more_members: list[Callable[[], dict[str, Any]]] = []
"""What the body of an error has besides. Called once the error has been reported, on the thread that reported it."""


def told_of_report() -> dict[str, Any]:
    """Returns what the body of the answer to an error that was reported just now has besides."""
    return {name: value for call in more_members for name, value in call().items()}


def tell_the_remedy(request: Request, error: BaseException) -> None:
    """Adds to an error of the commonest mistakes, once, which endpoint it was and what helps."""
    remedy = None if getattr(error, "__notes__", None) else _remedy_for(error)
    if remedy is not None:
        error.add_note(f"{route_name(request.scope)} {remedy}")


def _remedy_for(error: BaseException) -> str | None:
    if isinstance(error, ResponseValidationError):
        if isinstance(error.body, HttpResponseBase):
            return _RETURNED_A_RESPONSE
        errors = error.errors()
        if any(isinstance(item.get("input"), QuerySet) for item in errors):
            return _RETURNED_A_QUERYSET
        if any(isinstance(item.get("input"), FieldFile | Promise) for item in errors):
            return _RETURNED_NO_TEXT
        # Where the answer is made of a row: it lacks what was not fetched.
        asked = any(SynchronousOnlyOperation.__name__ in str(item.get("msg")) for item in errors)
    else:
        asked = isinstance(error, SynchronousOnlyOperation)
    return _ASKED_ON_THE_LOOP if asked else None


def report(request: Request, response: Response, error: BaseException) -> None:
    """Sends got_request_exception and logs an error of 500 or more. Runs on a thread: both may block."""
    _while_raised(error, _report, request, response, error)


def _report(request: Request, response: Response, error: BaseException) -> None:
    got_request_exception.send(sender=None, request=_django_request(request))
    message = _met(request, response)
    log(request, response, message=message, error=error)
    _tell_somebody(message, request, error)


def _met(request: Request, response: Response) -> str:
    """The words for when the error came: the client of a late one was answered something else."""
    call = call_of(request)
    if call is not None and call.has_whole_response:
        return "Error after the response"
    if call is not None and call.has_begun_response:
        return "Error during the response"
    return http.HTTPStatus(response.status_code).phrase


def _tell_somebody(message: str, request: Request, error: BaseException) -> None:
    """Writes an error that no handler has taken to stderr."""
    # Django's default logging, with DEBUG off, only mails it to ADMINS. FastAPI's users look for it in the server's
    # log, where nothing is written about an error that was answered.
    info = (type(error), error, error.__traceback__)
    told = f"{message}: {route_name(request.scope)}"
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, told, (), info)
    if logger.isEnabledFor(logging.ERROR) and not any(_takes(handler, record) for handler in _handlers()):
        (logging.lastResort or logging.NullHandler()).handle(record)


def _handlers() -> Iterator[logging.Handler]:
    above: logging.Logger | None = logger
    while above is not None:
        yield from above.handlers
        above = above.parent if above.propagate else None


def _takes(handler: logging.Handler, record: logging.LogRecord) -> bool:
    if isinstance(handler, AdminEmailHandler) and not settings.ADMINS:
        return False
    return record.levelno >= handler.level and bool(handler.filter(record))


def _while_raised(error: BaseException, function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function` where `sys.exc_info()` tells of `error`, as receivers expect it."""
    # With a traceback that begins in the app: some twenty frames of Starlette and FastAPI stand above, and a report
    # with the values of each takes half a second.
    whole = error.__traceback__
    try:
        raise error.with_traceback(_from_app(whole))
    except type(error):
        error.__traceback__ = _from_app(error.__traceback__)
        return function(*args)
    finally:
        error.__traceback__ = whole


def _from_app(whole: TracebackType | None) -> TracebackType | None:
    below = whole
    while below is not None and below.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _FRAMEWORK:
        below = below.tb_next
    return below or whole


async def on_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Runs `function` on the request's thread or, where none comes free in time, on one of AnyIO's."""
    try:
        return await run_in_threadpool(function, *args)
    except PoolTimeout:
        return await anyio.to_thread.run_sync(function, *args)


def technical_page(request: Request, error: BaseException, status: int) -> Response:
    """Returns Django's page about `error`, for a browser in DEBUG. Runs on the request thread: it shows values."""
    return HTMLResponse(_while_raised(error, _page, request, error, status), status)


def _page(request: Request, error: BaseException, status: int) -> bytes:
    shown = cast(HttpRequest, _django_request(request))
    page = technical_500_response(shown, type(error), error, error.__traceback__, status_code=status)
    return page.content


def traceback_lines(error: BaseException) -> list[str]:
    """Returns the traceback for the client of an API, which shows JSON."""
    lines: list[str] = _while_raised(error, traceback.format_exception, error)
    return "".join(lines).splitlines()


def wants_html(request: Request) -> bool:
    """Whether a browser asks for a page. Others say that they take anything, or JSON."""
    return "text/html" in request.headers.get("accept", "")


def route_name(scope: Scope) -> str:
    """Returns what the log calls the route: its method, its path with the names of the parameters, and its endpoint."""
    route = scope.get("route")
    name = endpoint_name(scope)
    app = scope.get("app")
    if route is None or app is None:
        return name
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    for context in iter_route_contexts(app.routes):
        pattern = getattr(context, "path_regex", None)
        if context.original_route is route and pattern is not None and pattern.match(path):
            return name.replace(scope["path"], scope.get("root_path", "") + (context.path_format or ""), 1)
    return name


def _django_request(request: Request) -> HttpRequest | None:
    """The HttpRequest of the call or, where nobody has asked for it, one for the log alone."""
    call = call_of(request)
    if call is not None and call.request is not None:
        return call.request
    scope = request.scope if call is None else {**request.scope, "root_path": call.outer}
    try:
        return ASGIRequest(scope, BytesIO())
    except UnicodeDecodeError:
        return None
