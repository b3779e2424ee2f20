"""A call that asgiref has made through an executor, and its outcome as the event loop wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["ExecutorCall"]


class ExecutorCall:
    """A call that reports to a future of the running loop.

    `loop.run_in_executor()` takes such a future as it is. One of concurrent.futures it would chain to another, with a
    lock and a callback for each: a twentieth of what a query by the async ORM takes.
    """

    __slots__ = ("_args", "_error", "_function", "_kwargs", "_loop", "_result", "future")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._result: Any = None
        self._error: BaseException | None = None

    def wanted(self) -> bool:
        return not self.future.cancelled()

    def run(self) -> None:
        try:
            self._result = self._function(*self._args, **self._kwargs)
        except BaseException as error:
            self._error = error
            del self  # The traceback leads back to this frame, and so to itself.

    def report(self) -> None:
        outcome = self._result, self._error
        self._result = self._error = None
        self._tell(*outcome)

    def fail(self, error: BaseException) -> None:
        self._tell(None, error)

    def _tell(self, result: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, self.future, result, error)
        except RuntimeError:
            if not self._loop.is_closed():  # Else nobody waits any more.
                raise


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        # A future takes no StopIteration; one that is chained makes this of it.
        replaced = RuntimeError("coroutine raised StopIteration")
        replaced.__cause__ = error
        future.set_exception(replaced)
    else:
        future.set_exception(error)
