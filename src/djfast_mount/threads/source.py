"""Where the lease of a request comes from: what the doors and the layers know of the request that they are in."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from djfast_mount.threads.lease import Lease

__all__ = ["Source"]


class Source(Protocol):
    """Where the lease of a request comes from."""

    base: contextvars.Context | None
    """What the request began with."""

    change: Callable[[MutableMapping[str, Any]], Awaitable[None]] | None
    """What is handed each message of the response first, and sends on what becomes of it."""

    headers: Mapping[bytes, bytes]
    """What the response is to have, where it does not have headers of these names: in lower case."""

    held: Lease | None
    """The lease, once a call has asked for it."""

    over: bool
    """Whether the request has ended; each call then has a lease of its own."""

    scope: MutableMapping[str, Any]
    """The request's, as ASGI has it."""

    started: bool
    """Whether the response has begun."""

    def lease(self) -> Lease:
        """Returns the lease for a call that is made now. Runs on the event loop."""

    def send(self, message: MutableMapping[str, Any], *, changed: bool = False) -> Awaitable[None]:
        """ASGI: sends `message`. `changed` says whether `change` has seen it."""
