"""From the options to the threads of a root."""

from __future__ import annotations

from functools import partial

from djfast_mount.conf import DEFAULT_THREADS, option
from djfast_mount.database.borrowed_thread import OwnThread
from djfast_mount.database.connections import PoolThread
from djfast_mount.database.strays import close_strays, strays
from djfast_mount.exceptions import PoolTimeout
from djfast_mount.lifespan.grace import Grace
from djfast_mount.offload.run import install
from djfast_mount.request_thread.request import RequestThread, RequestThreads
from djfast_mount.request_thread.unavailable import unavailable
from djfast_mount.threads.pool import Pool

__all__ = ["make_request_threads"]


def make_request_threads(
    sender: object,
    threads: int | None,
    wait_timeout: float,
    grace: float | None,
    *,
    hooks: type[PoolThread] = PoolThread,
    own_thread: type[OwnThread] = OwnThread,
    kind: type[RequestThread] = RequestThread,
) -> RequestThreads:
    """Returns what runs apps on the threads of a new pool, and opens the doors to them. No thread is started yet.

    Args:
        sender: The sender of Django's signals.
        threads, wait_timeout, grace: As `mount()` takes them.
        hooks, own_thread: What happens around the calls of a spell, on a thread of the pool and on one of a test.
        kind: The thread of one request.

    Raises: MountError, where a door has moved.
    """
    install()
    pool = Pool(
        threads or DEFAULT_THREADS,
        hooks(sender),
        wait_timeout=wait_timeout,
        timeout_error=partial(PoolTimeout, wait_timeout),
        lends=option("lend_idle"),
    )
    return RequestThreads(
        pool,
        kind=kind,
        own_thread=partial(own_thread, sender),
        left=strays,
        ended=close_strays,
        unavailable=unavailable,
        send_timeout=option("send_timeout"),
        warn_after=option("warn_after"),
        grace=None if grace is None else Grace(grace),
    )
