"""What of a site makes spans of its own, on both halves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import trace


def step(name: str) -> Any:
    return trace.get_tracer("project").start_as_current_span(name)


def traced_view(request: HttpRequest) -> HttpResponse:
    with step("in the view"):
        return HttpResponse(str(User.objects.count()))


async def traced_async_view(request: HttpRequest) -> HttpResponse:
    with step("in the async view"):
        return HttpResponse(str(await User.objects.acount()))


def add_steps(api: FastAPI) -> FastAPI:
    """Adds the endpoints that make spans to `api`."""

    @api.get("/steps/sync/{number}")
    def sync(number: int) -> int:
        with step("sync"):
            return User.objects.count()

    @api.get("/steps/gather")
    async def gather() -> list[int]:
        async def part(number: int) -> int:
            with step(f"part {number}"):
                return await User.objects.filter(pk=number).acount()

        return await asyncio.gather(*map(part, range(3)))

    @api.get("/steps/background")
    async def background(tasks: BackgroundTasks) -> str:
        def later() -> None:
            with step("background"):
                User.objects.count()

        tasks.add_task(later)
        return "later"

    @api.get("/steps/stream")
    async def stream() -> StreamingResponse:
        def parts() -> Iterator[str]:
            for number in range(2):
                with step(f"line {number}"):
                    yield str(User.objects.count())

        return StreamingResponse(parts())

    return api


STEPS = {
    "/api/steps/sync/3": ("/api/steps/sync/{number}", {"sync"}),
    "/api/steps/gather": ("/api/steps/gather", {"part 0", "part 1", "part 2"}),
    "/api/steps/background": ("/api/steps/background", {"background"}),
    "/api/steps/stream": ("/api/steps/stream", {"line 0", "line 1"}),
    "/traced/": ("/traced/", {"in the view"}),
    "/traced/async/": ("/traced/async/", {"in the async view"}),
}
"""By the path that is asked: the template of its route, and the spans that its code makes."""
