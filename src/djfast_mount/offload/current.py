"""The request that the caller belongs to, as a context variable. Standard library only."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

__all__ = ["Response", "current_response", "source"]

source: contextvars.ContextVar[Any] = contextvars.ContextVar("djfast_mount_source")
"""What the request that the caller belongs to has its lease from: a djfast_mount.threads.source.Source."""


class Response(Protocol):
    """What the layers know of the response of a request: the part of its source that has to do with no thread."""

    scope: MutableMapping[str, Any]

    change: Callable[[MutableMapping[str, Any]], Awaitable[None]] | None
    """What is handed each message of the response first, and sends on what becomes of it."""

    headers: Mapping[bytes, bytes]
    """What the response is to have, where it does not have headers of these names: in lower case."""

    started: bool
    """Whether the response has begun."""

    def send(self, message: MutableMapping[str, Any], *, changed: bool = False) -> Awaitable[None]:
        """ASGI: sends `message`. `changed` says whether `change` has seen it."""


def current_response() -> Response | None:
    """Returns the response of the request that the caller belongs to; None outside of one."""
    found: Response | None = source.get(None)
    return found
