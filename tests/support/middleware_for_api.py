"""Django middleware of every kind, for the tests of middleware around API calls."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from asgiref.local import Local
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed, PermissionDenied
from django.db import connection
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="public")
local = Local()
events: list[str] = []

GetResponse = Callable[[HttpRequest], Any]


def tenant_middleware(get_response: GetResponse) -> GetResponse:
    """Sync, and sets what the ORM would look at."""

    def middleware(request: HttpRequest) -> HttpResponse:
        name = request.headers.get("X-Tenant", "public")
        token = tenant.set(name)
        local.tenant = name
        try:
            response: HttpResponse = get_response(request)
        finally:
            tenant.reset(token)
        response["X-Tenant"] = name
        response.set_cookie("tenant", name)
        return response

    return middleware


class AsyncOnly:
    """Async, and nothing else."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.headers.get("X-Stop") == "async":
            return JsonResponse({"stopped": "async"}, status=418)
        token = tenant.set("async " + tenant.get())
        response = await self.get_response(request)
        tenant.reset(token)
        response["X-Async"] = "yes"
        return response


class MarkedAsync(AsyncOnly):
    """As Django's documentation writes an async class."""

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        super().__init__(get_response)
        markcoroutinefunction(self)


@sync_and_async_middleware
def both_kinds(get_response: Any) -> Any:
    async def asynchronous(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = await get_response(request)
        response["X-Both"] = "async"
        return response

    def sync(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        response["X-Both"] = "sync"
        return response

    return asynchronous if iscoroutinefunction(get_response) else sync


class Old(MiddlewareMixin):
    """Of the kind with methods, all of them."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        events.append("request")
        if request.headers.get("X-Stop") == "request":
            return HttpResponse("stopped", status=418, headers={"X-Stopped": "request"})
        if request.headers.get("X-Stop") == "stream":
            return StreamingHttpResponse(iter([b"a", b"b"]), status=418)  # type: ignore[return-value]
        if request.headers.get("X-Stop") == "file":
            return FileResponse(open(__file__, "rb"))  # type: ignore[return-value]
        if request.headers.get("X-Raise") == "denied":
            raise PermissionDenied("secret")
        if request.headers.get("X-Raise") == "404":
            raise Http404("secret")
        if request.headers.get("X-Raise") == "error":
            raise RuntimeError("secret")
        return None

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> HttpResponse | None:
        match = request.resolver_match
        events.append(f"view {view.__name__} {kwargs} {match.route if match else None}")
        if request.headers.get("X-Stop") == "view":
            return HttpResponse("stopped", status=418, headers={"X-Stopped": "view"})
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        events.append(f"exception {type(error).__name__}")
        if request.headers.get("X-Stop") == "exception":
            return HttpResponse("stopped", status=418, headers={"X-Stopped": "exception"})
        return None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        events.append(f"response {response.status_code} {'streams' if response.streaming else repr(response.content)}")
        response["X-Old"] = "yes"
        if request.headers.get("X-Raise") == "response":
            raise RuntimeError("secret")
        if "X-Remove" in response:
            del response["X-Remove"]
        if request.headers.get("X-Change") == "body":
            response.content = b"changed"
        if request.headers.get("X-Change") == "parts":
            response.streaming_content = _upper(response.streaming_content)  # type: ignore[attr-defined]
        if request.headers.get("X-Change") == "response":
            return HttpResponse("another", status=203)
        return response


async def _upper(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part.upper()


def not_used(get_response: GetResponse) -> GetResponse:
    raise MiddlewareNotUsed


def returns_none(get_response: GetResponse) -> None:
    return None


class Neither:
    """Of no kind."""

    sync_capable = False
    async_capable = False


def marks_statements(get_response: GetResponse) -> GetResponse:
    """Sync, and has the connection of its thread mark each statement, as a tenant's search path would change it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        events.append(f"thread {threading.get_ident()}")

        def mark(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            events.append(f"{request.headers['X-Tenant']} asks on {threading.get_ident()}")
            return execute(sql, params, many, context)

        with connection.execute_wrapper(mark):
            response: HttpResponse = get_response(request)
        return response

    return middleware


class MarksStatements(MiddlewareMixin):
    """The same in the kind with methods, which holds no thread while the endpoint works."""

    def process_request(self, request: HttpRequest) -> None:
        events.append(f"thread {threading.get_ident()}")

        def mark(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            events.append(f"{request.headers['X-Tenant']} asks on {threading.get_ident()}")
            return execute(sql, params, many, context)

        connection.execute_wrappers.append(mark)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        connection.execute_wrappers.pop()
        return response


class _Named(MiddlewareMixin):
    name = ""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        events.append(f"{self.name} request")
        if request.headers.get("X-Stop") == self.name:
            return HttpResponse(self.name, status=418)
        if request.headers.get("X-Raise") == f"{self.name} request":
            raise PermissionDenied
        return None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        events.append(f"{self.name} response {response.status_code}")
        if request.headers.get("X-Raise") == f"{self.name} response":
            raise PermissionDenied
        return response


class First(_Named):
    name = "first"


class Second(_Named):
    name = "second"


class Third(_Named):
    name = "third"
