"""The roots that the laws are checked against: the library's, the combination people write by hand, and faulty ones.

Laws 2 to 6 and 10 are broken by the hand-made combination. Laws 1 and 7 to 9 guard against what a pool itself brings:
each has a counterpart here, the library's own root with that one rule switched off. Every entry of `ROOTS` is a
context manager, which yields what makes the root; the rule is off until it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import AsyncToSync
from django.core.asgi import get_asgi_application
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount import mount
from djfast_mount.database import connections
from djfast_mount.database.connections import PoolThread
from djfast_mount.offload import loop_call as loop_calls
from djfast_mount.offload import run as offload
from djfast_mount.request_thread import from_options
from djfast_mount.request_thread import request as request_thread
from djfast_mount.request_thread.request import RequestThread, RequestThreads
from djfast_mount.request_thread.response import WatchedResponse
from djfast_mount.threads.calls import Call
from djfast_mount.threads.claim import Claim
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.pool import Pool
from djfast_mount.threads.streams import Streams
from djfast_mount.threads.worker import Worker
from laws.site import MakeRoot

RootContext = Callable[[], contextlib.AbstractContextManager[MakeRoot]]


def make_mounted(api: ASGIApp, **options: Any) -> ASGIApp:
    return mount("/api", api, static=False, **options)


def make_hand_made(api: ASGIApp, **_: Any) -> ASGIApp:
    """What the documentation of both frameworks leads to. It knows none of `mount()`'s options."""
    return Starlette(routes=[Mount("/api", api), Mount("/", get_asgi_application())])


@contextlib.contextmanager
def mounted() -> Iterator[MakeRoot]:
    yield make_mounted


@contextlib.contextmanager
def hand_made() -> Iterator[MakeRoot]:
    yield make_hand_made


@contextlib.contextmanager
def _mounted_with(*changes: tuple[object, str, object]) -> Iterator[MakeRoot]:
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, value in changes:
            patch.setattr(owner, name, value)
        # In one job there is nothing between the calls of a route that could go wrong.
        yield functools.partial(make_mounted, fast_path=False)


def eager() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 1 off: a request takes its thread when it comes."""

    def eagerly(serve: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def take_and_serve(threads: RequestThreads, app: ASGIApp, *args: Any, **kwargs: Any) -> None:
            async def eager_app(scope: Scope, receive: Receive, send: Send) -> None:
                await offload.run(int)
                await app(scope, receive, send)

            await serve(threads, eager_app, *args, **kwargs)

        return take_and_serve

    return _mounted_with(
        (RequestThreads, "http", eagerly(RequestThreads.http)),
        (RequestThreads, "websocket", eagerly(RequestThreads.websocket)),
    )


def scattered() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 2 off: a request takes a thread for each call, and another one if there is any."""

    class ScatteredPool(Pool):
        def give_back(self, claim: Claim) -> None:
            worker = claim.worker
            super().give_back(claim)
            with self.lock:
                self._idle.sort(key=lambda idle: idle is not worker)

    return _mounted_with((Lease, "_after_call", Lease._end_spell), (from_options, "Pool", ScatteredPool))


def one_way() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 3 off: what sync code sets stays on its thread."""
    return _mounted_with((loop_calls, "_carry", lambda source, tokens: None))


def silent() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 4 off: `request_finished` is left to those who get as far."""
    return _mounted_with((PoolThread, "end", lambda hooks, lease: None))


def unclean() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 5 off: a thread is handed on as the request left it."""
    return _mounted_with((connections, "_heal", lambda lease: None))


class _Deaf:
    """In the place of asgiref's record of the sync code that waits: it always says that there is none."""

    def __setattr__(self, name: str, value: object) -> None:
        pass


def deaf() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 7 off: sync code that waits for the loop is not asked to do the sync work of what it waits for."""
    return _mounted_with((AsyncToSync, "executors", _Deaf()), (offload, "_offer", lambda call: False))


def clinging() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 8 off: streams and websockets keep their thread, as many as there are threads, for as long as they last."""

    class ClingingLease(Lease):
        __slots__ = ()

        def rest(self) -> None:
            pass

        def _after_call(self) -> None:
            if self.closed:
                self._rest(None)

    async def enter(streams: Streams, lease: Lease) -> None:
        pass

    return _mounted_with((request_thread, "Lease", ClingingLease), (Streams, "enter", enter))


def stubborn() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 8 off: a request that waits for something else keeps the right to run, whoever waits for it."""
    return _mounted_with((Pool, "watch", lambda pool, loop: None))


def mixing() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 8 off: what a request leaves on a connection is left there, and does not keep its thread."""
    return _mounted_with(
        (connections, "_clear_away", lambda lease: None), (PoolThread, "keeps", lambda hooks, lease: False)
    )


def unhurried() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 8's send limit off: a client may take as long as it likes."""

    async def send(request: WatchedResponse, lease: Lease, message: Message) -> None:
        await request.forward(message)

    return _mounted_with((WatchedResponse, "_send_in_time", send))


def refusing() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 9 off: a task that has outlived its request gets no thread."""
    lease_for_call = RequestThread.lease

    def lease(request: RequestThread) -> Lease:
        if request.over:
            raise RuntimeError("The request has ended.")
        return lease_for_call(request)

    return _mounted_with((RequestThread, "lease", lease))


def reusing() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 9 off: a task that has outlived its request goes on using the request's thread, whoever has it now."""
    close, successor = Lease.close, Lease.successor
    former: dict[Lease, Worker | None] = {}

    class LateLease(Lease):
        __slots__ = ()

        def submit(self, call: Call) -> None:
            worker = former[self]
            if worker is not None:
                worker.queue.put((Lease._perform, self, call))

    def noting_close(lease: Lease) -> asyncio.Future[None] | None:
        former[lease] = lease.worker
        return close(lease)

    def late(lease: Lease) -> Lease:
        late = successor(lease)
        late.__class__ = LateLease
        former[late] = former[lease]
        return late

    return _mounted_with((Lease, "close", noting_close), (Lease, "successor", late), (Lease, "for_task", late))


def endless() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 6's limit off: a request waits for a thread for as long as it takes."""

    @contextlib.contextmanager
    def roots() -> Iterator[MakeRoot]:
        yield lambda api, **options: make_mounted(api, **{**options, "wait_timeout": 1e6})

    return roots()


def unfair() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 6's order off: who has come last is served first."""

    class UnfairPool(Pool):
        def wait(self, claim: Claim) -> None:
            super().wait(claim)
            self._waiting.rotate(1)

    return _mounted_with((from_options, "Pool", UnfairPool))


def dropping() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 4 off: the exit of a dependency is dropped like any call that has not begun."""
    on_lease = offload._on_lease

    async def drop(lease: Lease, function: Callable[..., Any], args: tuple[Any, ...], **_: bool) -> Any:
        return await on_lease(lease, function, args)

    return _mounted_with((offload, "_on_lease", drop))


def forgetful() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 4 off: a request that is cancelled does not wait for the call that it has made."""

    async def outcome(call: Any) -> Any:
        return await call.future

    return _mounted_with((loop_calls.LoopCall, "outcome", outcome))


def held_up() -> contextlib.AbstractContextManager[MakeRoot]:
    """Law 10 off: the end waits for whatever still runs."""
    return _mounted_with((request_thread, "_LAST_WAIT", None))


ROOTS: dict[str, RootContext] = {
    root.__name__: root
    for root in (
        mounted,
        hand_made,
        eager,
        scattered,
        one_way,
        silent,
        dropping,
        forgetful,
        unclean,
        endless,
        unfair,
        deaf,
        clinging,
        stubborn,
        mixing,
        unhurried,
        refusing,
        reusing,
        held_up,
    )
}
