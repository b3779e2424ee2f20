"""What a worker is given to do. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

__all__ = ["Call", "FutureCall", "perform"]


class Call(Protocol):
    """A piece of work. Either `run` and `report`, or `fail`, are called, once; none where it is not wanted any more."""

    def wanted(self) -> bool:
        """Whether anybody still waits for it. Runs on any thread."""

    def run(self) -> None:
        """Does the work. Runs on the worker; must not raise."""

    def report(self) -> None:
        """Tells the outcome to who waits for it. Runs on the worker."""

    def fail(self, error: BaseException) -> None:
        """Reports that the work will not be done. Runs on any thread."""


class FutureCall:
    """A call that reports to a `concurrent.futures.Future`."""

    __slots__ = ("_error", "_result", "args", "function", "future", "kwargs")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Any = None) -> None:
        self.future: Future[Any] = Future()
        self.function = function
        self.args = args
        self.kwargs = kwargs or {}
        self._result: Any = None
        self._error: BaseException | None = None

    def wanted(self) -> bool:
        return not self.future.cancelled()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self._result = self.function(*self.args, **self.kwargs)
        except BaseException as error:
            self._error = error
            del self  # The traceback leads back to this frame, and so to itself.

    def report(self) -> None:
        result, error = self._result, self._error
        self._result = self._error = None
        if self.future.cancelled():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)

    def fail(self, error: BaseException) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


def perform(call: Call) -> None:
    """Does the work of `call` and reports it, on a thread that is no worker."""
    call.run()
    call.report()
    del call  # The traceback of its error, which it holds, leads back to this frame.
