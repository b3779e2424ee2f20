"""Requests that tell on which thread each part of them ran, and what each part saw of the others' context."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt
from fastapi import APIRouter, BackgroundTasks, Depends
from fastapi.responses import StreamingResponse

from project.shop.models import Item
from stress.ledger_routes import Written
from stress.record import expect, mark

router = APIRouter(prefix="/affinity")
from_loop: ContextVar[str] = ContextVar("from_loop", default="nothing")
from_thread: ContextVar[str] = ContextVar("from_thread", default="nothing")


async def on_the_loop(key: str) -> AsyncIterator[None]:
    """Sets on the event loop what the sync parts after it are to see."""
    from_loop.set(key)
    timezone.activate("Asia/Tokyo")
    yield


def on_the_thread(key: str) -> Iterator[None]:
    """Sees what the loop set, and sets on its thread what the parts after it are to see, sync or async."""
    mark(key, "dependency enter")
    expect(key, "the loop's ContextVar in a sync dependency", from_loop.get(), key)
    expect(key, "the loop's time zone in a sync dependency", timezone.get_current_timezone_name(), "Asia/Tokyo")
    from_thread.set(key)
    translation.activate("de")
    Item.objects.count()
    yield
    mark(key, "dependency exit")
    expect(key, "the ContextVar in the dependency's exit", from_thread.get(), key)


def look(key: str, where: str) -> None:
    expect(key, f"the loop's ContextVar in {where}", from_loop.get(), key)
    expect(key, f"the loop's time zone in {where}", timezone.get_current_timezone_name(), "Asia/Tokyo")
    expect(key, f"the thread's ContextVar in {where}", from_thread.get(), key)
    expect(key, f"the thread's language in {where}", translation.get_language(), "de")


Both = [Depends(on_the_loop), Depends(on_the_thread)]


def query(key: str, part: str) -> None:
    mark(key, part)
    look(key, part)
    Item.objects.count()


@router.get("/sync", dependencies=Both)
def sync(key: str, tasks: BackgroundTasks) -> Written:
    query(key, "endpoint")
    tasks.add_task(query, key, "background")
    return {"key": key}  # type: ignore[return-value]  # a dict, so that the model validates it


@router.get("/async", dependencies=Both)
async def async_endpoint(key: str, tasks: BackgroundTasks) -> dict[str, str]:
    look(key, "an async endpoint")
    await Item.objects.acount()
    await sync_to_async(query)(key, "sync_to_async")
    tasks.add_task(query, key, "background")
    return {"key": key}


def steps(key: str) -> Iterator[str]:
    try:
        for number in range(3):
            query(key, "step")
            yield f"{number}\n"
    finally:
        mark(key, "close")


@router.get("/stream", dependencies=Both)
def stream(key: str) -> StreamingResponse:
    query(key, "endpoint")
    return StreamingResponse(steps(key))


def django_steps(key: str) -> Iterator[str]:
    for number in range(3):
        mark(key, "step")
        yield f"{number} {Item.objects.count()}\n"


@csrf_exempt
def view(request: HttpRequest) -> HttpResponse:
    mark(request.GET["key"], "view")
    Item.objects.count()
    return HttpResponse("done")


@csrf_exempt
def streaming_view(request: HttpRequest) -> StreamingHttpResponse:
    mark(request.GET["key"], "view")
    return StreamingHttpResponse(django_steps(request.GET["key"]))


urlpatterns = [path("affinity/view", view), path("affinity/stream", streaming_view)]
