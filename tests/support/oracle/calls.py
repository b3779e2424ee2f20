"""Raw ASGI calls, and all that can be seen of them."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from typing import Any


def scope_of(
    method: str = "GET",
    path: str = "/",
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    root_path: str = "",
) -> dict[str, Any]:
    """A scope as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 40000),
        "scheme": "http",
        "method": method,
        "root_path": root_path,
        "path": root_path + path,
        "raw_path": (root_path + path).encode(),
        "query_string": query,
        "headers": [(b"host", b"testserver"), *headers],
        "state": {},
    }


async def cancelled() -> None:
    """Cancels the task that runs this, as a server does that is told to stop."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


class Conversation:
    """One request: what it receives, and what was sent and raised.

    Args:
        fails_at: At which message `send` fails.
        cancelled_at: In which of its calls the task is cancelled, as in ``("send", 0)``.
    """

    def __init__(
        self, messages: list[Any], fails_at: int | None = None, cancelled_at: tuple[str, int] | None = None
    ) -> None:
        self.messages = list(messages)
        self.sent: list[Any] = []
        self.raised: BaseException | None = None
        self._fails_at = fails_at
        self._cancelled_at = cancelled_at
        self._received = 0

    async def receive(self) -> Any:
        if self._cancelled_at == ("receive", self._received):
            await cancelled()
        self._received += 1
        if not self.messages:
            return {"type": "http.disconnect"}
        message = self.messages.pop(0)
        if isinstance(message, BaseException):
            raise message
        return message

    async def send(self, message: Any) -> None:
        if self._fails_at is not None and len(self.sent) >= self._fails_at:
            raise OSError("the client has gone")
        if self._cancelled_at == ("send", len(self.sent)):
            await cancelled()
        self.sent.append(copy.deepcopy(message))


async def converse(
    app: Any,
    scope: dict[str, Any],
    messages: list[Any] | None = None,
    fails_at: int | None = None,
    cancelled_at: tuple[str, int] | None = None,
) -> Conversation:
    """Sends one request to `app`."""
    if messages is None:
        messages = [{"type": "http.request", "body": b""}]
    found = Conversation(messages, fails_at, cancelled_at)
    try:
        await app(scope, found.receive, found.send)
    except (Exception, asyncio.CancelledError) as error:
        found.raised = error
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
    return found


def body_of(*parts: bytes) -> list[Any]:
    """The messages of a request body in `parts`."""
    last = len(parts) - 1
    return [{"type": "http.request", "body": part, "more_body": number < last} for number, part in enumerate(parts)]


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)
