"""Django's two signals, and clean connections, around code that runs outside of requests.

1. `request_started` comes first and `request_finished` last, on the thread that works, whatever the code raises.
2. Blocks on one thread that are nested, or overlap, share their signals: the first to begin sends the one, the last to
   end the other. A connection is never closed beneath a block that still uses it. One that has broken is of use to
   nobody: each block that begins closes such ones, or those that overlap without end would fail for ever.
3. What was open when the first block began is left open: a test's transaction, or a caller's.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.signals import request_finished, request_started
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from djfast_mount.database.borrowed_thread import keep_open, may_close
from djfast_mount.database.session_state import throw_away
from djfast_mount.database.signals import blocks as _blocks
from djfast_mount.database.transaction_status import in_transaction
from djfast_mount.exceptions import MountError
from djfast_mount.offload.cancellation import wait_shielded
from djfast_mount.offload.current import current_source
from djfast_mount.threads.worker import current_worker

__all__ = ["request_signalling"]

logger = logging.getLogger("djfast_mount.connections")

Function = TypeVar("Function", bound=Callable[..., Any])


class RequestSignalling:
    """A block of code with signals around it, made by `request_signalling()`. It may be entered once.

    Args:
        name: What the log calls the code.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._entered = False
        self._works = False

    def __call__(self, function: Function) -> Function:
        return _decorated(function)

    def __enter__(self) -> None:
        self._enter_once()
        self._works = not _in_request_thread()
        if self._works:
            _begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._works:
            self._works = False
            _end(self._name)

    async def __aenter__(self) -> None:
        self._enter_once()
        # In a request each sync call has a thread of the pool, with signals.
        self._works = current_source() is None
        if self._works:
            await _on_thread(_begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._works:
            self._works = False
            await _on_thread(_end, self._name)

    def _enter_once(self) -> None:
        if self._entered:
            raise RuntimeError("A block of request_signalling() is entered once. Call request_signalling() for each.")
        self._entered = True


@overload
def request_signalling(function: Function, /) -> Function: ...


@overload
def request_signalling() -> RequestSignalling: ...


def request_signalling(function: Function | None = None, /) -> Function | RequestSignalling:
    """Sends Django's `request_started` before a piece of code and `request_finished` after it, outside of a request.

    These signals are what has Django close connections that are too old or unusable. Nobody sends them for a job of a
    scheduler, a consumer of a queue, a thread, or a command that runs for days: such code meets connections that the
    server has closed long ago, or keeps them for ever. It is a decorator, for plain functions and coroutine functions,
    and a context manager for ``with`` and ``async with``::

        @request_signalling
        def clean_up() -> None: ...

        async with request_signalling():
            await Order.objects.filter(...).adelete()

    The signals are sent on the thread that does the work: that of the caller or, for async code, the one on which
    ``sync_to_async()`` and the async ORM work. A transaction that the code has left open is rolled back, and logged at
    level ERROR. What was open before stays open. In a request of djfast_mount it has no effect: its thread has signals
    of its own.

    Raises:
        TypeError: For a generator function: use the context manager within it. For a class, and what cannot be called.
        RuntimeError: When a block is entered a second time.
    """
    return RequestSignalling("The code within request_signalling()") if function is None else _decorated(function)


def _decorated(function: Function) -> Function:
    if isinstance(function, classmethod | staticmethod):
        return cast("Function", type(function)(_decorated(function.__func__)))
    if inspect.isclass(function) or not callable(function):
        raise TypeError(f"request_signalling() got {function!r}. Give it a function, or use it as a context manager.")
    if _is_any(function, inspect.isgeneratorfunction) or _is_any(function, inspect.isasyncgenfunction):
        raise TypeError(
            f"{function!r} is a generator function: its body runs when it is drawn from. "
            "Use `with request_signalling():` where that is done."
        )
    name = f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"
    if _is_any(function, iscoroutinefunction):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            async with RequestSignalling(name):
                return await function(*args, **kwargs)

        return cast("Function", call_async)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with RequestSignalling(name):
            return function(*args, **kwargs)

    return cast("Function", call)


def _is_any(function: Callable[..., Any], kind: Callable[[Any], bool]) -> bool:
    """Whether `function` is of that kind; of an object that can be called, its `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004


def _in_request_thread() -> bool:
    """Whether the calling thread is a request's: one of the pool, or one that the request has borrowed."""
    worker = current_worker()
    if worker is not None:
        return worker.claim is not None
    source = current_source()
    if source is None:
        return False
    if _runs_a_loop():
        # The caller is the request's own async code. Its sync calls run on a thread of the pool, with signals.
        return True
    held = None if source.over else source.held
    return held is not None and held.worker is not None and held.worker.thread is threading.current_thread()


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _on_thread(function: Callable[..., None], *args: Any) -> None:
    # A cancellation is met afterwards: signals come in pairs.
    done = asyncio.ensure_future(sync_to_async(function)(*args))
    await wait_shielded(done)
    done.result()


def _begin() -> None:
    if _blocks.depth:
        _close_broken()
    else:
        _send_started()
    _blocks.depth += 1


def _send_started() -> None:
    found = connections.all(initialized_only=True)
    _blocks.found = {connection.alias: _depth(connection) for connection in found}
    # Django's receivers would close a connection even in a transaction.
    _blocks.kept = [connection for connection in found if _blocks.found[connection.alias]]
    for connection in _blocks.kept:
        keep_open(connection)
    try:
        request_started.send(sender=request_signalling)
    except BaseException:
        _finish()
        raise


def _close_broken() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.errors_occurred or connection.in_atomic_block:
            continue
        if connection.is_usable():
            connection.errors_occurred = False
        else:
            connection.close()


def _end(name: str) -> None:
    if not _blocks.depth:
        return  # Begun in the process that this one was forked from.
    _blocks.depth -= 1
    if _blocks.depth:
        return
    # Before the signal, so that what a receiver writes is not lost with the code's transaction; and after it.
    try:
        _roll_back(name)
    finally:
        _finish()
        _roll_back("A receiver of request_finished")


def _finish() -> None:
    try:
        request_finished.send_robust(sender=request_signalling)
    finally:
        for connection in _blocks.kept:
            may_close(connection)
        _blocks.kept = []


def _begin_anew() -> None:
    """In a process that was forked within a block: its jobs have signals of their own."""
    _blocks.depth = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def _depth(connection: BaseDatabaseWrapper) -> int:
    return len(connection.atomic_blocks) if connection.in_atomic_block else int(in_transaction(connection))


def _roll_back(name: str) -> None:
    for connection in connections.all(initialized_only=True):
        before = _blocks.found.get(connection.alias, 0)
        if _depth(connection) <= before:
            continue
        error = MountError(
            f"{name} left a transaction open on the database {connection.alias!r}; it was rolled back. "
            "Leave every atomic() that you enter, and set autocommit back."
        )
        logger.error("%s", error)
        if not before:
            throw_away(connection)
        else:
            while len(connection.atomic_blocks) > before:
                connection.atomic_blocks[-1].__exit__(MountError, error, None)
