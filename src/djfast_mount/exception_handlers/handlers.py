"""Django's exceptions as HTTP answers.

1. With DEBUG off, no answer holds a word of an exception's own message but a ValidationError's, which is for users.
2. What Django logs is logged, by the same loggers; a 500 once, and by nobody else where `mount()` serves the app.
3. A handler that the app has for a class, or for one that it comes from, stays.
"""

from __future__ import annotations

import functools
import http
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import DataError, Error, IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.exceptions import ValidationException as FastAPIValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from djfast_mount.apis.tree import fastapis_in
from djfast_mount.django_for_api.request_layer import APICall, call_of
from djfast_mount.exception_handlers.database_errors import is_misfit, is_outage, misfit, refused_value
from djfast_mount.exception_handlers.integrity_errors import violation
from djfast_mount.exception_handlers.reports import (
    log,
    on_thread,
    report,
    technical_page,
    tell_the_remedy,
    told_of_report,
    traceback_lines,
    wants_html,
)
from djfast_mount.exception_handlers.secrets import HIDDEN, is_secret, secret_names_of, without_secrets
from djfast_mount.exception_handlers.unencodable import fault_of, in_words, printable
from djfast_mount.exceptions import client_has_left, original_of
from djfast_mount.fastpath.answer import is_plain
from djfast_mount.routing.endpoints import METHODS

__all__ = ["add_exception_handlers"]

Handler = Callable[[Request, Any], Awaitable[Response]]

_RETRY_AFTER = {"Retry-After": "1"}
_JUDGED = "djfast_mount.judged"
# FastAPI's own default handlers: the app did not choose them, so ours may take their place.
_DEFAULTS = (
    http_exception_handler,
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)


def add_exception_handlers(api: FastAPI, *, problem_details: bool = False) -> None:
    """Has `api`, and every FastAPI mounted in it, answer Django's exceptions. `mount()` does it for each FastAPI.

    Handlers that an app has for the same class, or for one that it comes from, stay. A second call changes nothing.

    Args:
        problem_details: Whether errors are ``application/problem+json`` (RFC 9457), HTTPException and invalid requests
            too. Otherwise they have FastAPI's shape.
    """
    answers = _Answers(problem_details)
    for found in fastapis_in(api):
        for kind, handler in answers.handlers().items():
            if not _has_own(found.app, kind):
                found.app.add_exception_handler(kind, handler)
                found.app.middleware_stack = (
                    None  # It holds those that were there when it was built, and is built anew.
                )


def _has_own(api: FastAPI, kind: type[Exception]) -> bool:
    # Starlette looks a handler up along the error's MRO. One for a class in between is the project's word for this one,
    # too.
    keys: tuple[Any, ...] = (Exception, 500) if kind is Exception else kind.__mro__[: kind.__mro__.index(Exception)]
    own = (api.exception_handlers[key] for key in keys if key in api.exception_handlers)
    return any(handler not in _DEFAULTS for handler in own)


class _Answers:
    """The handlers of one app, and the shape of what they answer. Handlers run on the event loop."""

    def __init__(self, problem_details: bool) -> None:
        self._problem_details = problem_details

    def handlers(self) -> dict[type[Exception], Handler]:
        common: dict[type[Exception], Handler] = {
            Http404: self.not_found,
            ObjectDoesNotExist: self.not_found,
            PermissionDenied: self.permission_denied,
            ValidationError: self.invalid,
            RequestValidationError: self.invalid_request,
            BadRequest: self.bad_request,
            MultiPartParserError: self.bad_request,
            SuspiciousOperation: self.suspicious,
            IntegrityError: self.conflict,
            DataError: self.unfit_data,
            OperationalError: self.outage,
            InterfaceError: self.outage,
            InternalError: self.outage,
            NotImplementedError: self.not_implemented,
            ValueError: self.unfit_value,
            OverflowError: self.unfit_value,
            RecursionError: self.unfit_value,
            Exception: self.unexpected,
        }
        handlers = {kind: _for_http(handler) for kind, handler in common.items()}
        handlers[WebSocketRequestValidationError] = _invalid_handshake  # type: ignore[assignment]
        return {**handlers, HTTPException: self.http_exception}

    def answer(
        self, status: int, detail: Any = None, headers: Mapping[str, str] | None = None, **members: Any
    ) -> Response:
        title = http.HTTPStatus(status).phrase
        # FastAPI's own shape is the default: clients that are generated from its OpenAPI expect it.
        if not self._problem_details:
            return JSONResponse({"detail": title if detail is None else detail, **members}, status, headers)
        if isinstance(detail, list):
            members, detail = {"errors": detail, **members}, None
        problem = {"type": "about:blank", "title": title, "status": status}
        if detail is not None and detail != title:
            problem["detail"] = detail
        return JSONResponse({**problem, **members}, status, headers, media_type="application/problem+json")

    # What the client asked for -------------------------------------------------------------------------------------

    async def not_found(self, request: Request, error: Exception) -> Response:
        response = self.answer(404, _told(error))
        log(request, response)
        return response

    async def permission_denied(self, request: Request, error: Exception) -> Response:
        response = self.answer(403, _told(error))
        log(request, response, error=error, message="Forbidden (Permission denied)")
        return response

    async def invalid(self, request: Request, error: ValidationError) -> Response:
        return self.answer(422, list(_field_errors(error)))

    async def invalid_request(self, request: Request, error: RequestValidationError) -> Response:
        errors = _shown(request, error)
        try:
            # FastAPI's encoder would take a third of the time of the whole request, and nearly all errors are JSON as
            # they are.
            return self.answer(422, errors if is_plain(errors) else jsonable_encoder(errors))
        except (ValueError, RecursionError):  # What was sent cannot be shown as it is.
            return self.answer(422, jsonable_encoder(printable(errors)))

    async def bad_request(self, request: Request, error: Exception) -> Response:
        response = self.answer(400, _told(error))
        log(request, response, error=error)
        return response

    async def suspicious(self, request: Request, error: SuspiciousOperation) -> Response:
        response = self.answer(413 if isinstance(error, RequestDataTooBig) else 400, _told(error))
        await on_thread(_log_suspicious, request, response, error)
        return response

    async def http_exception(self, request: Request, error: HTTPException) -> Response:
        detail, headers = in_words(error.detail), error.headers
        if error.status_code == 405 and request.scope["type"] == "http":
            headers = _with_all_methods(request, headers)
        if not self._problem_details or error.status_code < 400 or request.scope["type"] != "http":
            told = HTTPException(error.status_code, detail, headers)
            return await http_exception_handler(request, told)
        return self.answer(error.status_code, detail, headers)

    # What the database says ----------------------------------------------------------------------------------------

    async def conflict(self, request: Request, error: IntegrityError) -> Response:
        broken = violation(error)
        response = self.answer(
            409, broken.detail, code=broken.kind, constraint=broken.constraint, fields=list(broken.fields)
        )
        log(request, response, message=f"Conflict ({broken})")
        return response

    async def unfit_data(self, request: Request, error: DataError) -> Response:
        return self._unfit(request, error, misfit(error))

    async def unfit_value(self, request: Request, error: Exception) -> Response:
        """A value that a driver or an encoder refused. Any other error of such a class is as unexpected as it was."""
        fault = refused_value(error)
        if fault is None and request.scope.get(_JUDGED) is not error:
            # Once: Starlette asks again on its way out, where the body is not to be had.
            request.scope[_JUDGED] = error
            fault = fault_of(_body_read(request))
        if fault is None:
            raise error
        return self._unfit(request, error, fault)

    def _unfit(self, request: Request, error: Exception, fault: str) -> Response:
        response = self.answer(422, [{"type": "value_error", "loc": [], "msg": fault}])
        log(request, response, message=f"{http.HTTPStatus(422).phrase} ({type(error).__name__}: {fault})")
        return response

    async def outage(self, request: Request, error: Error) -> Response:
        if is_misfit(error):
            return self._unfit(request, error, misfit(error))
        if not is_outage(error):
            raise error
        response = self.answer(503, headers=_RETRY_AFTER)
        await on_thread(report, request, response, error)
        return response

    # What is ours --------------------------------------------------------------------------------------------------

    async def not_implemented(self, request: Request, error: NotImplementedError) -> Response:
        response = self.answer(501, _told(error))
        await on_thread(report, request, response, error)
        return response

    async def unexpected(self, request: Request, error: Exception) -> Response:
        """Starlette sends the answer unless a response has begun, then raises the error again."""
        error = original_of(error)
        # A client that has left is nobody's fault; the root knows what to do.
        if settings.DEBUG_PROPAGATE_EXCEPTIONS or client_has_left(error):
            raise error
        call = call_of(request)
        if call is None:
            unserved: Response = await on_thread(self._reported, request, error)
            return unserved
        if call.reported is error:  # An app that is mounted in this one has reported the error.
            return self.answer(500)
        # Marked on the call, so that the app around and the server do not log the same error again.
        call.reported = error
        return _Last(await on_thread(self._reported, request, error), call, error)

    def _reported(self, request: Request, error: Exception) -> Response:
        tell_the_remedy(request, error)
        if not settings.DEBUG:
            response = self.answer(500)
        elif wants_html(request):
            response = technical_page(request, error, 500)
        else:
            said = f"{type(error).__name__}: {error}"
            response = self.answer(500, printable(said), traceback=printable(traceback_lines(error)))
        report(request, response, error)
        if not settings.DEBUG and (members := told_of_report()):
            return self.answer(500, **members)
        return response


def _for_http(handler: Handler) -> Handler:
    # Starlette asks handlers about websockets too, which have no response: their errors stay what they are.

    @functools.wraps(handler)
    async def answer(request: Request, error: Exception) -> Response:
        if request.scope["type"] != "http":
            raise error
        return await handler(request, error)

    return answer


def _with_all_methods(request: Request, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a 405, whose Allow names the methods of every route of the path."""
    # RFC 9110, section 15.5.6. Starlette names the methods of the first route. Where an endpoint has raised the 405,
    # its headers are its own.
    found = dict(headers or {})
    route = request.scope.get("route")
    if request.method in (getattr(route, "methods", None) or ()) or not any(name.lower() == "allow" for name in found):
        return found
    methods = request.scope.get(METHODS) or _methods_of_path(request.scope)
    allow = {"Allow": ", ".join(sorted(methods))} if methods else {}
    return {**{name: value for name, value in found.items() if not allow or name.lower() != "allow"}, **allow}


def _methods_of_path(scope: Scope) -> set[str]:
    """The methods of every route of the path. All routes are asked."""
    path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
    methods: set[str] = set()
    for context in iter_route_contexts(scope["app"].routes):
        pattern = getattr(context, "path_regex", None)
        if pattern is not None and pattern.match(path):
            methods |= context.methods or set()
    return methods


async def _invalid_handshake(websocket: WebSocket, error: WebSocketRequestValidationError) -> None:
    shown = WebSocketRequestValidationError(_shown(websocket, error))
    await websocket_request_validation_exception_handler(websocket, shown)


def _shown(connection: HTTPConnection, error: FastAPIValidationError) -> list[Any]:
    """What is told of an invalid request: FastAPI's errors without the secrets that were sent."""
    try:
        errors = error.errors()
        return without_secrets(errors, secret_names_of(connection.scope), getattr(error, "body", None))
    except RecursionError:  # It is nested too deeply to be looked at, so nothing of it is shown.
        return [{**one, "input": HIDDEN, "ctx": {}} for one in error.errors()]


class _Last(Response):
    """A response that notes, once it has been sent as a whole, that nobody need hear of the error any more."""

    def __init__(self, response: Response, call: APICall, error: Exception) -> None:
        self._response = response
        self._call = call
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)
        self._call.answered = self._error


def _told(error: Exception) -> str | None:
    """The message of `error`, where it may be told."""
    return printable(str(error)) or None if settings.DEBUG else None


def _log_suspicious(request: Request, response: Response, error: SuspiciousOperation) -> None:
    security = logging.getLogger(f"django.security.{type(error).__name__}")
    log(request, response, message=str(error), error=error, by=security, level="error")


def _field_errors(error: ValidationError) -> list[dict[str, Any]]:
    fields = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    return [
        {"type": item.code or "value_error", "loc": _location(name), "msg": printable(_told_of(name, item, message))}
        for name, items in fields.items()
        for item in items
        for message in item.messages
    ]


def _told_of(name: str, item: ValidationError, message: str) -> str:
    value = (item.params or {}).get("value") if is_secret(name) else None
    # Messages of Django's own validators may hold the value: `%(value)s` is among their parameters.
    return message if value in (None, "") else message.replace(str(value), HIDDEN)


def _location(field: str) -> list[str]:
    return ["body"] if field == NON_FIELD_ERRORS else ["body", *field.split(".")]


def _body_read(request: Request) -> bytes:
    """The body as far as the app has read it through this request. Waits for nothing."""
    reading = request.body()
    try:
        # Driven by hand for one step: a body that is not there yet must not be waited for while an error is answered.
        reading.send(None)
    except StopIteration as read:
        return bytes(read.value)
    except Exception:  # The stream was read otherwise, or the client has left.
        return b""
    reading.close()
    return b""
