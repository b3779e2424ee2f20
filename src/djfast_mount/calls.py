"""What a worker is given to do. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

__all__ = ["Call", "FutureCall"]


class Call(Protocol):
    """A piece of work. Either `run` or `fail` is called, once; neither where it is not wanted any more."""

    def wanted(self) -> bool:
        """Whether anybody still waits for it. Runs on any thread."""

    def run(self) -> None:
        """Does the work and reports the outcome. Runs on the worker; must not raise."""

    def fail(self, error: BaseException) -> None:
        """Reports that the work will not be done. Runs on any thread."""


class FutureCall:
    """A call that reports to a `concurrent.futures.Future`."""

    __slots__ = ("args", "function", "future", "kwargs")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Any = None) -> None:
        self.future: Future[Any] = Future()
        self.function = function
        self.args = args
        self.kwargs = kwargs or {}

    def wanted(self) -> bool:
        return not self.future.cancelled()

    def run(self) -> None:
        future = self.future
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(*self.args, **self.kwargs)
        except BaseException as error:
            future.set_exception(error)
            # The traceback leads back to this frame, and so to itself.
            del self, future
        else:
            future.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)
