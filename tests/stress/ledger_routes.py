"""Every way in which a request writes: each writes one row under its own key, to stay or to be rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, field_validator

from project.shop.models import Entry
from stress.record import failed, mark

router = APIRouter()


class Unwell(Exception):
    """What the endpoints and views raise that are to fail."""


class Written(BaseModel):
    key: str

    @field_validator("key")
    @classmethod
    def _where(cls, value: str) -> str:
        mark(value, "validation")
        return value


class Posted(BaseModel):
    key: str
    padding: str = ""


def write(key: str, part: str, keep: bool = True) -> None:
    mark(key, part)
    Entry.objects.filter(key=key).exists()
    Entry.objects.create(key=key, keep=keep)


def in_atomic(key: str) -> Iterator[None]:
    """A transaction around the endpoint. Commits after the response where the scope is the request's."""
    mark(key, "dependency enter")
    try:
        with transaction.atomic():
            yield
    except DatabaseError:
        failed.append(key)
        raise
    finally:
        mark(key, "dependency exit")


AroundRequest = Depends(in_atomic)
AroundEndpoint = Depends(in_atomic, scope="function")


@router.post("/sync")
def sync(key: str) -> Written:
    with transaction.atomic():
        write(key, "endpoint")
    return {"key": key}  # type: ignore[return-value]  # a dict, so that the model validates it


@router.post("/json")
def json_body(posted: Posted) -> Written:
    write(posted.key, "endpoint")
    return {"key": posted.key}  # type: ignore[return-value]


@router.post("/read")
def read(key: str) -> Written:
    mark(key, "endpoint")
    Entry.objects.count()
    return {"key": key}  # type: ignore[return-value]


@router.post("/async")
async def async_orm(key: str) -> dict[str, str]:
    await Entry.objects.filter(key=key).aexists()
    await Entry.objects.acreate(key=key)
    return {"key": key}


@router.post("/plain")
async def plain(key: str) -> dict[str, str]:
    return {"key": key}


@router.post("/commit", dependencies=[AroundEndpoint])
def commit(key: str) -> Written:
    write(key, "endpoint")
    return {"key": key}  # type: ignore[return-value]


@router.post("/commit_late", dependencies=[AroundRequest])
def commit_late(key: str) -> Written:
    write(key, "endpoint")
    return {"key": key}  # type: ignore[return-value]


@router.post("/async_commit", dependencies=[AroundEndpoint])
async def async_commit(key: str) -> dict[str, str]:
    await Entry.objects.acreate(key=key)
    return {"key": key}


@router.post("/rollback", dependencies=[AroundEndpoint])
def rollback(key: str) -> None:
    write(key, "endpoint", keep=False)
    raise HTTPException(409)


@router.post("/rollback_crash", dependencies=[AroundRequest])
def rollback_crash(key: str) -> None:
    write(key, "endpoint", keep=False)
    raise Unwell(key)


@router.post("/async_rollback", dependencies=[AroundEndpoint])
async def async_rollback(key: str) -> None:
    await Entry.objects.acreate(key=key, keep=False)
    raise HTTPException(409)


@router.post("/own_rollback")
def own_rollback(key: str) -> None:
    with transaction.atomic():
        write(key, "endpoint", keep=False)
        raise Unwell(key)


@router.post("/async_error")
async def async_error(key: str) -> None:
    await Entry.objects.acount()
    raise Unwell(key)


def chunks(key: str) -> Iterator[str]:
    try:
        for number in range(5):
            mark(key, "step")
            yield f"{number}: {Entry.objects.filter(key=key).count()}\n"
        write(key, "step")
        yield "done"
    finally:
        mark(key, "close")


@router.post("/stream")
def stream(key: str) -> StreamingResponse:
    mark(key, "endpoint")
    return StreamingResponse(chunks(key))


@router.post("/stream_atomic", dependencies=[AroundRequest])
def stream_atomic(key: str) -> StreamingResponse:
    mark(key, "endpoint")
    return StreamingResponse(chunks(key))


@router.post("/async_stream")
async def async_stream(key: str) -> StreamingResponse:
    async def steps() -> AsyncIterator[str]:
        for number in range(5):
            yield f"{number}: {await Entry.objects.filter(key=key).acount()}\n"
        await Entry.objects.acreate(key=key)
        yield "done"

    return StreamingResponse(steps())


def write_behind(key: str) -> None:
    try:
        write(key, "background")
    except DatabaseError:
        failed.append(key)
        raise


@router.post("/background")
def background(key: str, tasks: BackgroundTasks) -> Written:
    mark(key, "endpoint")
    Entry.objects.count()
    tasks.add_task(write_behind, key)
    return {"key": key}  # type: ignore[return-value]


async def write_behind_async(key: str) -> None:
    try:
        await Entry.objects.acreate(key=key)
    except DatabaseError:
        failed.append(key)
        raise


@router.post("/async_background")
async def async_background(key: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(write_behind_async, key)
    return {"key": key}


@csrf_exempt
def django_write(request: HttpRequest) -> HttpResponse:
    write(request.GET["key"], "view")
    return HttpResponse("done")


@csrf_exempt
def django_error(request: HttpRequest) -> HttpResponse:
    mark(request.GET["key"], "view")
    Entry.objects.count()
    raise Unwell(request.GET["key"])


@csrf_exempt
@transaction.atomic
def django_rollback(request: HttpRequest) -> HttpResponse:
    write(request.GET["key"], "view", keep=False)
    raise Unwell(request.GET["key"])


@csrf_exempt
async def django_async(request: HttpRequest) -> HttpResponse:
    await Entry.objects.acreate(key=request.GET["key"])
    return HttpResponse("done")


@csrf_exempt
def django_stream(request: HttpRequest) -> StreamingHttpResponse:
    mark(request.GET["key"], "view")
    return StreamingHttpResponse(chunks(request.GET["key"]))


urlpatterns = [
    path("write", django_write),
    path("error", django_error),
    path("rollback", django_rollback),
    path("async", django_async),
    path("stream", django_stream),
]
