"""Django's half of the tests of Django's handler: views, middleware and URLconfs of every kind."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from io import BytesIO
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf.urls.i18n import i18n_patterns
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.db import connection, transaction
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import include, path, re_path, register_converter, reverse, reverse_lazy
from django.utils.decorators import method_decorator, sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import get_language
from django.views import View
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import condition, require_POST
from django.views.decorators.vary import vary_on_headers
from django.views.generic import RedirectView

from project.shop.models import Item

events: list[str] = []
tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="public")

GetResponse = Callable[[HttpRequest], Any]


def place() -> str:
    """Where the caller runs: on the event loop or on a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "thread"
    return "loop"


def said(request: HttpRequest, **more: Any) -> JsonResponse:
    """What a view met."""
    events.append(f"view on the {place()}")
    seen = {
        "path": request.path,
        "path_info": request.path_info,
        "script_name": request.META["SCRIPT_NAME"],
        "absolute": request.build_absolute_uri(),
        "route": request.resolver_match.route if request.resolver_match else None,
        "tenant": tenant.get(),
        "language": get_language(),
        "on": place(),
    }
    return JsonResponse(seen | more)


# Functions, and what decorates them -------------------------------------------------------------------------------


def sync_view(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    return said(request, kwargs=kwargs, items=Item.objects.count())


async def async_view(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    return said(request, kwargs=kwargs, items=await Item.objects.acount())


@csrf_exempt
def sync_body(request: HttpRequest) -> JsonResponse:
    return said(request, body=request.body.decode("latin-1"), post=request.POST.dict())


@csrf_exempt
async def async_body(request: HttpRequest) -> JsonResponse:
    return said(request, body=request.body.decode("latin-1"), post=request.POST.dict())


def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("cookies", headers={"X-Latin": "caf\xe9"})
    response.set_cookie("one", "1", max_age=60, httponly=True, samesite="Lax")
    response.set_cookie("two", "a b", path="/pre")
    response.delete_cookie("three")
    return response


def user(request: HttpRequest) -> JsonResponse:
    return said(request, user=str(request.user))


async def auser(request: HttpRequest) -> JsonResponse:
    return said(request, user=str(await request.auser()))


async def user_in_async(request: HttpRequest) -> JsonResponse:
    """What Django forbids, when the session has to be read."""
    return said(request, user=str(request.user))


def session(request: HttpRequest) -> JsonResponse:
    request.session["n"] = request.session.get("n", 0) + 1
    return said(request, n=request.session["n"])


async def asession(request: HttpRequest) -> JsonResponse:
    await request.session.aset("n", await request.session.aget("n", 0) + 1)
    return said(request, n=await request.session.aget("n"))


def etag(request: HttpRequest) -> str:
    return '"abc"'


@method_decorator([never_cache, vary_on_headers("X-Kind")], name="dispatch")
class SyncClass(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return said(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        return said(request, posted=True)


class AsyncClass(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return said(request)

    async def post(self, request: HttpRequest) -> HttpResponse:
        return said(request, posted=True)


# Errors -----------------------------------------------------------------------------------------------------------

ERRORS: dict[str, Exception] = {
    "404": Http404("no such thing"),
    "403": PermissionDenied("not you"),
    "400": BadRequest("odd"),
    "suspicious": SuspiciousOperation("suspicious"),
    "500": LookupError("a view that fails"),
    "caught": ZeroDivisionError("a middleware takes it"),
}


def sync_error(request: HttpRequest, name: str) -> HttpResponse:
    events.append(f"view on the {place()}")
    raise ERRORS[name]


async def async_error(request: HttpRequest, name: str) -> HttpResponse:
    events.append(f"view on the {place()}")
    raise ERRORS[name]


def nothing(request: HttpRequest) -> Any:
    """A view that forgets its response."""


async def async_nothing(request: HttpRequest) -> Any:
    """The same, async."""


def own_500(request: HttpRequest) -> HttpResponse:
    events.append("handler500")
    return HttpResponse("our own 500", status=500, headers={"X-Handler": "500"})


def own_404(request: HttpRequest, exception: Exception) -> HttpResponse:
    events.append("handler404")
    return HttpResponse(f"our own 404: {type(exception).__name__}", status=404)


def failing_500(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the page of the error fails too")


# The database -----------------------------------------------------------------------------------------------------


@csrf_exempt
def write(request: HttpRequest, outcome: str) -> HttpResponse:
    Item.objects.create(name=f"written {connection.in_atomic_block}")
    transaction.on_commit(lambda: events.append("committed"))
    if outcome == "fail":
        raise LookupError("after the write")
    return HttpResponse("written", status=int(outcome))


@csrf_exempt
@transaction.non_atomic_requests
def write_outside(request: HttpRequest, outcome: str) -> HttpResponse:
    return write(request, outcome)


@csrf_exempt
async def async_write(request: HttpRequest, outcome: str) -> HttpResponse:
    await Item.objects.acreate(name="written by an async view")
    return HttpResponse("written")


@csrf_exempt
@transaction.non_atomic_requests
async def async_write_outside(request: HttpRequest, outcome: str) -> HttpResponse:
    return await async_write(request, outcome)


class ItemConverter:
    """Asks the database whether there is such an item."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        if not Item.objects.filter(name=value).exists():
            raise ValueError(value)
        return value

    def to_url(self, value: str) -> str:
        return value


class TenantConverter(ItemConverter):
    """Adds what middleware has set."""

    def to_python(self, value: str) -> str:
        return f"{value} of {tenant.get()}"


register_converter(ItemConverter, "item_of_the_handlers_tests")
register_converter(TenantConverter, "tenant_of_the_handlers_tests")


# Bodies -----------------------------------------------------------------------------------------------------------


class Noting(BytesIO):
    def close(self) -> None:
        if not self.closed:
            events.append("file closed")
        super().close()


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(Noting(b"x" * 100_000), filename="x.txt", as_attachment=True)


async def async_file(request: HttpRequest) -> FileResponse:
    return FileResponse(Noting(b"x" * 10_000), filename="x.txt")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        try:
            for number in range(3):
                events.append(f"part on the {place()}")
                yield f"{number} {Item.objects.count()} {tenant.get()}\n"
        finally:
            events.append("stream closed")

    return StreamingHttpResponse(parts(), content_type="text/plain")


async def stream_of_async_view(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        try:
            for number in range(3):
                events.append(f"part on the {place()}")
                yield f"{number} {await Item.objects.acount()}\n"
        finally:
            events.append("stream closed")

    return StreamingHttpResponse(parts(), content_type="text/plain")


def async_stream_of_sync_view(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            events.append(f"part on the {place()}")
            yield b"%d\n" % number

    return StreamingHttpResponse(parts())


def large(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"y" * 200_000)


def template(request: HttpRequest) -> TemplateResponse:
    page = engines["django"].from_string("{{ word }} {{ request.path }}")
    return TemplateResponse(request, page, {"word": "view"})  # type: ignore[arg-type]


async def async_template(request: HttpRequest) -> TemplateResponse:
    page = engines["django"].from_string("{{ word }} {{ request.path }}")
    return TemplateResponse(request, page, {"word": "async view"})  # type: ignore[arg-type]


class Quota(FileUploadHandler):
    """Takes no file of more than ten bytes."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        if start + len(raw_data) > 10:
            events.append("over quota")
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def files_of(request: HttpRequest) -> dict[str, Any]:
    return {
        name: [upload.name, upload.size, type(upload).__name__, upload.read().decode()]
        for name, upload in request.FILES.items()
    }


@csrf_exempt
def upload(request: HttpRequest) -> JsonResponse:
    if request.headers.get("X-Quota"):
        request.upload_handlers.insert(0, Quota(request))
    return JsonResponse({"files": files_of(request), "post": request.POST.dict()})


@csrf_exempt
async def async_upload(request: HttpRequest) -> JsonResponse:
    if request.headers.get("X-Quota"):
        request.upload_handlers.insert(0, Quota(request))
    return JsonResponse({"files": files_of(request), "post": request.POST.dict()})


# Middleware -------------------------------------------------------------------------------------------------------


def sync_only(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponse:
        events.append(f"sync only on the {place()}")
        token = tenant.set(request.headers.get("X-Tenant", "public"))
        response: HttpResponse = get_response(request)
        tenant.reset(token)
        response["X-Sync"] = "yes"
        return response

    return middleware


class AsyncOnly:
    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        events.append(f"async only on the {place()}")
        if request.headers.get("X-Stop") == "async":
            return HttpResponse("stopped", status=418)
        response = await self.get_response(request)
        response["X-Async"] = "yes"
        return response


@sync_and_async_middleware
def either(get_response: Any) -> Any:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            response: HttpResponse = await get_response(request)
            response["X-Either"] = "yes"
            return response

        return asynchronous

    def sync(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        response["X-Either"] = "yes"
        return response

    return sync


class Hooks(MiddlewareMixin):
    """Every method that there is, each of which may answer."""

    name = "hooks"

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        events.append(f"{self.name} request")
        return self._stop(request, "request")

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        events.append(f"{self.name} view {getattr(view, '__name__', view)} {args} {kwargs}")
        return self._stop(request, "view")

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        events.append(f"{self.name} exception {type(exception).__name__}")
        return HttpResponse("caught", status=409) if isinstance(exception, ZeroDivisionError) else None

    def process_template_response(self, request: HttpRequest, response: TemplateResponse) -> TemplateResponse:
        events.append(f"{self.name} template")
        response.context_data = {**(response.context_data or {}), "word": f"{self.name} was here"}
        return response

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        events.append(f"{self.name} response {response.status_code}")
        if request.headers.get("X-Raise") == self.name:
            raise RuntimeError("middleware that fails")
        return response

    def _stop(self, request: HttpRequest, where: str) -> HttpResponse | None:
        stops = request.headers.get("X-Stop") == where and self.name == "hooks"
        return HttpResponse(f"stopped in {where}", status=418) if stops else None


class OuterHooks(Hooks):
    name = "outer"


def other_urlconf(get_response: GetResponse) -> GetResponse:
    """Serves another URLconf where a header says so: what was guessed is not what is found."""

    def middleware(request: HttpRequest) -> Any:
        if request.headers.get("X-URLconf"):
            request.urlconf = Others  # type: ignore[attr-defined]
        return get_response(request)

    return middleware


def other_path(get_response: GetResponse) -> GetResponse:
    """Rewrites the path where a header says so."""

    def middleware(request: HttpRequest) -> Any:
        if wanted := request.headers.get("X-Path"):
            request.path_info = wanted
        return get_response(request)

    return middleware


# URLs -------------------------------------------------------------------------------------------------------------


def links(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"sync": reverse("sync"), "included": reverse("included:one", kwargs={"number": 7})})


class Included:
    app_name = "included"
    urlpatterns = [
        path("sync/<int:number>/", sync_view, name="one"),
        path("async/<slug:word>/", async_view),
    ]


class URLs:
    urlpatterns: list[Any] = [
        path("sync/", sync_view, name="sync"),
        path("async/", async_view),
        path("sync/body/", sync_body),
        path("async/body/", async_body),
        path("cookies/", cookies),
        path("sync/user/", user),
        path("async/user/", auser),
        path("async/user-in-async/", user_in_async),
        path("sync/session/", session),
        path("async/session/", asession),
        path("sync/class/", SyncClass.as_view()),
        path("async/class/", AsyncClass.as_view()),
        path("sync/post/", csrf_exempt(require_POST(sync_view))),
        path("async/post/", csrf_exempt(require_POST(async_view))),
        path("sync/cached/", cache_control(max_age=60)(sync_view)),
        path("async/cached/", cache_control(max_age=60)(async_view)),
        path("sync/gzip/", gzip_page(large)),
        path("sync/condition/", condition(etag_func=etag)(sync_view)),
        path("async/condition/", condition(etag_func=etag)(async_view)),
        path("redirect/", RedirectView.as_view(url=reverse_lazy("sync"))),
        path("links/", links),
        path("sync/error/<name>/", sync_error),
        path("async/error/<name>/", async_error),
        path("sync/nothing/", nothing),
        path("async/nothing/", async_nothing),
        path("sync/write/<outcome>/", write),
        path("sync/write-outside/<outcome>/", write_outside),
        path("async/write/<outcome>/", async_write),
        path("async/write-outside/<outcome>/", async_write_outside),
        path("sync/file/", file),
        path("async/file/", async_file),
        path("sync/stream/", stream),
        path("async/stream/", stream_of_async_view),
        path("sync/async-stream/", async_stream_of_sync_view),
        path("sync/large/", large),
        path("sync/template/", template),
        path("async/template/", async_template),
        path("sync/upload/", upload),
        path("async/upload/", async_upload),
        path("included/", include((Included.urlpatterns, "included"))),
        path("module/", include("project.urls")),
        re_path(r"^old/(?P<rest>.*)$", lambda request, rest: HttpResponsePermanentRedirect(f"/{rest}")),
        *i18n_patterns(path("sync/here/", sync_view), path("async/here/", async_view)),
    ]


class Others:
    """Where X-URLconf leads: what is async in `URLs` is sync here, and the other way round."""

    urlpatterns = [path("sync/", async_view), path("async/", sync_view), path("only-here/", sync_view)]


class OwnConverters:
    urlpatterns = [
        path("sync/item/<item_of_the_handlers_tests:name>/", sync_view),
        path("async/item/<item_of_the_handlers_tests:name>/", async_view),
        path("sync/tenant/<tenant_of_the_handlers_tests:name>/", sync_view),
        path("async/tenant/<tenant_of_the_handlers_tests:name>/", async_view),
    ]


class Unprefixed:
    """/de/kind/there/ is the second in English, which has no prefix, and the first in German."""

    urlpatterns = i18n_patterns(
        path("sync/there/", sync_view),
        path("async/there/", async_view),
        path("<slug:slug>/sync/there/", sync_view),
        path("<slug:slug>/async/there/", async_view),
        prefix_default_language=False,
    )


class OwnPages(URLs):
    handler404 = own_404
    handler500 = own_500


class FailingPages(URLs):
    handler500 = failing_500
