"""What is known of one request.

A record holds neither the path nor the query string nor a body, nor anything of the user: only what is the same for all
requests of a route, and numbers. So it may be kept, shown and sent on.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from djfast_mount.offload.current import current_response

__all__ = ["METHODS", "Owner", "Repeated", "RequestRecord", "current", "current_record"]


Owner = Literal["api", "django", "static", "health", "websocket", "root"]


class Repeated(NamedTuple):
    """One statement that a request has sent again and again: a suspicion of N+1 queries."""

    statement: str
    """Its shape: the SQL with placeholders where the values were."""
    times: int
    """How often the request has sent it."""
    location: str
    """``file:line`` of the project's code that sent it when it became too often. Empty where there is none."""


@dataclass(eq=False)
class RequestRecord:
    """What one request, or one websocket, was and what it cost.

    Listeners are handed it once the request has ended, and nothing in it changes after that. Before, `current_record()`
    returns it, in the making. Times are in seconds.
    """

    kind: Literal["http", "websocket"]
    method: str
    """Such as ``"GET"``; ``"OTHER"`` for one that HTTP does not define, and empty for a websocket."""
    started: float
    """When it came: seconds since the epoch."""
    owner: Owner = "root"
    """Which part answered. ``"root"``: the root itself, which refused it."""
    route: str | None = None
    """The template of the route with every prefix, such as ``"/api/companies/{company_id}"``; None: no route."""
    status: int | None = None
    """Of the response; None where none was begun. Of a websocket, the code with which it was closed."""
    duration: float = 0.0
    """From its coming to its end, background tasks included."""
    wait: float = 0.0
    """How long it waited for a thread."""
    on_thread: float = 0.0
    """How long it held one."""
    queries: int = 0
    query_time: float = 0.0
    repeated: tuple[Repeated, ...] = ()
    """The statements that it has sent too often, the most frequent first."""
    bytes_sent: int = 0
    """Of the response's body, or of the messages of a websocket."""
    client_gone: bool = False
    """Whether the client left before it had the whole response, as far as the server has told."""
    request_id: str | None = None
    error: str | None = None
    """The name of the class of the exception that no handler of the project answered."""


METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"))
"""Those that HTTP defines. Any other is a word that a client has chosen."""

current: ContextVar[Any] = ContextVar("djfast_mount_telemetry", default=None)
"""The request that is observed and that the caller belongs to, on the event loop and on the request's thread."""


def current_record() -> RequestRecord | None:
    """Returns the record of the request that the caller belongs to, on the event loop or on the request's thread.

    None outside of one, and where ``settings.DJFAST_MOUNT["telemetry"]`` is off. Where nobody listens, and there is no
    exporter and no access log, the record has no more than kind, method, id, and when it was first asked for; without
    ids it is None.
    """
    found = current.get()
    if isinstance(found, RequestRecord):
        return found
    # Where nobody hears of the request, its thread knows its id.
    record: RequestRecord | None = getattr(current_response() if found is None else found, "record", None)
    return record
