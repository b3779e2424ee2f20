"""What asgiref sends to an executor, and how its outcome gets to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from djfast_mount.offload.executor_call import ExecutorCall
from djfast_mount.threads.calls import perform

pytestmark = pytest.mark.once


def on_a_thread(function: Callable[[], Any]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_a_result_and_an_error_reach_the_loop() -> None:
    """The future has what the function returned, or raised; StopIteration as the error that a coroutine makes of it."""

    async def outcome(function: Callable[..., Any], *args: Any) -> Any:
        call = ExecutorCall(function, args, {})
        on_a_thread(lambda: perform(call))
        return await call.future

    assert asyncio.run(outcome(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(outcome(int, "x"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(outcome(next, iter(())))


def test_the_loop_takes_the_future_as_it_is() -> None:
    """`run_in_executor()` hands on the very future: none is chained to it."""

    async def main() -> None:
        call = ExecutorCall(int, (), {})
        assert asyncio.wrap_future(call.future) is call.future  # type: ignore[arg-type]
        assert call.wanted()
        call.future.cancel()
        assert not call.wanted()
        perform(call)  # Nobody hears of the outcome, and nothing is raised.
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_loop_that_is_closed_hears_nothing() -> None:
    """An outcome that comes after the end of its loop is dropped."""

    async def begin() -> ExecutorCall:
        return ExecutorCall(int, (), {})

    perform(asyncio.run(begin()))
