"""A cancellation that was put off until the thread had done its work: who meets it, and who does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import anyio
import pytest
from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from calls import call, http_scope
from djfast_mount import mount

pytestmark = pytest.mark.once


class Place:
    """An API whose endpoint waits for ever, and whose dependency then cleans up on the thread until it is released."""

    def __init__(self) -> None:
        self.waits, self.cleans_up, self.released = threading.Event(), threading.Event(), threading.Event()
        self.met: list[str] = []
        api = FastAPI()

        def session() -> Iterator[None]:
            try:
                yield
            finally:
                self.cleans_up.set()
                self.released.wait(20)

        @api.get("/waits", dependencies=[Depends(session)])
        async def waits() -> None:
            self.waits.set()
            await asyncio.Event().wait()

        @api.get("/works")
        async def works() -> None:
            await run_in_threadpool(self._work)
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                self.met.append("right after the call")
                raise

        self.root = mount("/api", api)

    def _work(self) -> None:
        self.waits.set()
        self.cleans_up.set()
        self.released.wait(20)

    async def ask(self, path: str, root_path: str) -> None:
        await call(self.root, http_scope(f"{root_path}/api/{path}", root_path=root_path))

    async def cancel_by(self, cancel: Callable[[], object]) -> None:
        """Cancels the request while it waits, and lets the loop turn before its thread is released."""
        await until(self.waits)
        cancel()
        await until(self.cleans_up)
        for _ in range(20):
            await asyncio.sleep(0.001)
        self.released.set()


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("path", ["waits", "works"])
def test_a_scope_of_anyio_keeps_its_cancellation(path: str, root_path: str) -> None:
    """What follows a cancelled scope is not cancelled, and neither are the tasks beside it."""

    async def main() -> int:
        place = Place()
        turns = 0

        async def within_a_scope() -> None:
            with anyio.CancelScope() as scope:
                cancelling = asyncio.ensure_future(place.cancel_by(scope.cancel))
                await place.ask(path, root_path)
            await cancelling

        async with anyio.create_task_group() as group:
            group.start_soon(within_a_scope)
            await until(place.released)
            while turns < 50:
                await asyncio.sleep(0.001)
                turns += 1
        assert place.met == ["right after the call"] * (path == "works")
        return turns

    assert asyncio.run(main()) == 50


@pytest.mark.parametrize("path", ["waits", "works"])
def test_a_timeout_of_asyncio_is_told_as_one(path: str, root_path: str) -> None:
    """asyncio.timeout() tells by the count of cancellations whose it meets: it is TimeoutError, and nothing is left."""

    async def main() -> int:
        place = Place()
        task = asyncio.current_task()
        assert task is not None

        async def in_time() -> None:
            async with asyncio.timeout(None) as timeout:
                cancelling = asyncio.ensure_future(place.cancel_by(lambda: timeout.reschedule(0)))
                await place.ask(path, root_path)
            await cancelling

        with pytest.raises(TimeoutError):
            await in_time()
        for _ in range(20):
            await asyncio.sleep(0)
        assert place.met == ["right after the call"] * (path == "works")
        return task.cancelling()

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("path", ["waits", "works"])
def test_a_second_cancellation_is_not_lost(path: str, root_path: str) -> None:
    """A task that is cancelled again while its thread works ends as cancelled."""

    async def main() -> bool:
        place = Place()
        task = asyncio.ensure_future(place.ask(path, root_path))

        def cancel_twice() -> None:
            task.cancel()
            asyncio.get_running_loop().call_later(0.005, task.cancel)

        await place.cancel_by(cancel_twice)
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())
