"""Requests of HTTP of which nobody wants to hear: they have their ids, and nothing is measured.

Every request pays for what stands here if telemetry is on and nobody listens. So one that comes to a thread has nothing
of its own: what its response is to have is with that thread, djfast_mount.telemetry.threads. The others are few.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.telemetry.made_once import made_once
from djfast_mount.telemetry.record import METHODS, RequestRecord, current
from djfast_mount.telemetry.watchers import Headers, Watching

__all__ = ["UnheardRequest", "record_of", "tell", "with_header", "with_id"]


class UnheardRequest:
    """Knows no more of the request than its record needs. So it may be kept by what outlives the request."""

    over = True
    """As of a request that has ended, nothing is noted."""

    def __init__(self, watching: Watching, scope: Scope) -> None:
        # Not the scope, which leads to the request: a task that outlives it may keep this.
        self._watching = watching
        self._method = scope["method"]
        self._headers: Headers = scope["headers"]

    id_in_bytes: bytes | None = made_once(lambda unheard: unheard._watching.id_of(unheard._headers))
    record: RequestRecord = made_once(lambda unheard: record_of(unheard._method, unheard.id_in_bytes))


def record_of(method: str, request_id: bytes | None) -> RequestRecord:
    """Returns the record of a request that is not measured."""
    known = method if method in METHODS else "OTHER"
    return RequestRecord("http", known, time(), request_id=None if request_id is None else request_id.decode())


def with_id(watching: Watching, unheard: UnheardRequest, send: Send) -> Send:
    """Returns `send`, which gives the response the id of its request, if requests have any."""
    if watching.id_header is None:
        return send

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = with_header(watching, unheard, message)
        return send(message)

    return sending


def with_header(watching: Watching, unheard: Any, start: Message) -> Message:
    """Returns the start of a response with the id of its request, where the response has none of its own."""
    headers = [*start.get("headers", ())]
    watching.start[0](unheard, headers)  # Nothing else is told of a request of which nobody hears.
    return {**start, "headers": headers}


async def tell(app: ASGIApp, watching: Watching, scope: Scope, receive: Receive, send: Send) -> None:
    """Serves a request that is told of by a context variable: where its thread alone cannot tell."""
    unheard = UnheardRequest(watching, scope)
    token = current.set(unheard)
    try:
        await app(scope, receive, with_id(watching, unheard, send))
    finally:
        current.reset(token)
