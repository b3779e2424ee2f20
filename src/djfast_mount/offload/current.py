"""The request that the caller belongs to, as a context variable. Standard library only.

What stands around a request, or inside of it, asks here and imports neither the pool nor the doors: the request itself
brings along what runs a call on its thread.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, MutableMapping
from typing import Any, Protocol

__all__ = [
    "KEY",
    "Attached",
    "Response",
    "Source",
    "current_lease",
    "current_response",
    "current_source",
    "in_flight",
    "source",
]

KEY = "djfast_mount.request"
"""The key in a scope of what `source` holds, for code that has the scope alone. Gone when the request ends."""


class Attached(Protocol):
    """What a layer knows of a request."""

    def has_settled(self, error: Exception) -> bool:
        """Whether `error`, which the app has raised, is known, and the client has its answer."""

    async def end(self) -> None:
        """Lets go of all that it holds: the request has ended."""


class Response(Protocol):
    """What the layers know of the response of a request: the part of its source that has to do with no thread."""

    scope: MutableMapping[str, Any]
    """The request's, as ASGI has it."""

    call: Any
    """What is known of the call by its layers, an `Attached`. None: nobody has asked for it."""

    over: bool
    """Whether the request has ended; each sync call then has a lease of its own."""

    change: Callable[[MutableMapping[str, Any]], Awaitable[None]] | None
    """What is handed each message of the response first, and sends on what becomes of it."""

    headers: Mapping[bytes, bytes]
    """What the response is to have, where it does not have headers of these names: in lower case."""

    started: bool
    """Whether the response has begun."""

    whole: bool
    """Whether the response is there as a whole, though it may be sent in parts."""

    def send(self, message: MutableMapping[str, Any], *, changed: bool = False) -> Awaitable[None]:
        """ASGI: sends `message`. `changed` says whether `change` has seen it."""


class Source(Response, Protocol):
    """Where the lease of a request comes from.

    A lease is a djfast_mount.threads.lease.Lease. Types do not say so here: this module is below that one.
    """

    base: contextvars.Context | None
    """What the request began with."""

    held: Any
    """The lease, once a call has asked for it; None before."""

    @property
    def pool(self) -> Any:
        """Where the lease has its worker from: a djfast_mount.threads.pool.Pool."""

    def lease(self) -> Any:
        """Returns the lease for a call that is made now. Runs on the event loop."""

    def run(self, function: Callable[..., Any], /, *args: Any) -> Coroutine[Any, Any, Any]:
        """Runs `function` on the thread of the request that the caller belongs to: djfast_mount.offload.run.run()."""

    def draw(self, iterator: Iterator[Any]) -> AsyncIterator[Any]:
        """Yields what `iterator` makes on that thread: djfast_mount.offload.run.draw()."""


source: contextvars.ContextVar[Source] = contextvars.ContextVar("djfast_mount_source")
"""What the request that the caller belongs to has its lease from."""


class _InFlight:
    """How many requests are being served. Changed on event loops only."""

    count = 0


in_flight = _InFlight()


def current_source() -> Source | None:
    """Returns what the request that the caller belongs to has its lease from; None outside of one."""
    return source.get(None)


def current_response() -> Response | None:
    """Returns the response of the request that the caller belongs to; None outside of one."""
    return source.get(None)


def current_lease() -> Any:
    """Returns the lease that the caller's request holds; None outside of one, or where it has none yet."""
    found = source.get(None)
    return None if found is None else found.held
