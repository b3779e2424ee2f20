"""The checks of django-health-check, asked for readiness. The package is the extra ``health``.

1. All checks of one round are one request of their own: the sync ones, and the ORM of the others, have one thread of
   the pool between them, with Django's signals around. Coroutines run at the same time.
2. A round that is still running, since a check hangs, is not begun a second time: it holds one thread at most.
3. Names are those of the classes, and of a failure the kind alone is told: what else there is may name hosts and users.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from asgiref.sync import sync_to_async
from health_check.base import HealthCheck  # type: ignore[import-untyped]
from health_check.exceptions import ServiceWarning  # type: ignore[import-untyped]
from health_check.views import HealthCheckView  # type: ignore[import-untyped]
from starlette.types import Message, Receive, Scope, Send

from djfast_mount.request_thread.request import RequestThreads

__all__ = ["OK", "WARNING", "HealthChecks"]

OK, WARNING = "OK", "warning"


class HealthChecks:
    """The checks that a project has chosen.

    Args:
        threads: Where they run.
        chosen: As ``HealthCheckView.checks`` has them: classes or import strings, alone or with their arguments.

    Raises: ImportError and TypeError, when there is no such check, or it does not take the arguments.
    """

    def __init__(self, threads: RequestThreads, chosen: Sequence[Any]) -> None:
        self._threads = threads
        self._view = HealthCheckView(checks=tuple(chosen))
        # Once, at the start: names must not depend on what answers.
        self._names = list(_names(list(self._view.get_checks())))
        self._round: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._answers: dict[str, Future[str]] = {}

    def ask(self, scope: Scope) -> dict[str, Future[str]]:
        """Returns the answer to each check by its name: OK, a warning, or the kind of its error. On the event loop.

        Args:
            scope: Of the request that asks.
        """
        loop = asyncio.get_running_loop()
        if self._round is None or self._round[0] is not loop or self._round[1].done():
            # Each round has futures of its own, so that an old answer is never given for a new question.
            self._answers = {name: Future() for name in self._names}
            self._round = loop, loop.create_task(self._threads.http(self._run, {**scope}, _receive, _send))
        return self._answers

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        executor = _RequestThread(asyncio.get_running_loop())
        answers = zip(self._view.get_checks(), self._answers.values(), strict=True)
        await asyncio.gather(*(_answer(check, answer, executor) for check, answer in answers))


async def _answer(check: HealthCheck, answer: Future[str], executor: Executor) -> None:
    error = (await check.get_result(executor)).error
    if error is None:
        answer.set_result(OK)
    else:
        answer.set_result(WARNING if isinstance(error, ServiceWarning) else type(error).__name__)


def _names(checks: Sequence[HealthCheck]) -> Any:
    """The name of each class, from its second check on with a number."""
    seen: Counter[str] = Counter()
    for check in checks:
        name = type(check).__name__
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} {seen[name]}"


class _RequestThread(Executor):
    """The thread of the request, as an executor."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        # By way of the loop: `sync_to_async` there finds the lease of this request, with Django's signals around it.
        return asyncio.run_coroutine_threadsafe(sync_to_async(fn)(*args, **kwargs), self._loop)


async def _receive() -> Message:
    """Nobody sends a body to what only asks."""
    return {"type": "http.disconnect"}


async def _send(message: Message) -> None:
    """Nobody reads an answer of it either."""
