"""The plain calls of a route as one job on the request thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from djfast_mount.fastpath.private_names import private
from djfast_mount.offload.current import Source
from djfast_mount.offload.current import source as _source

__all__ = ["run_last"]

Outcome = tuple[Any, ...]


async def run_last(is_last: bool, job: Callable[..., Outcome], *args: Any) -> Outcome:
    """Returns or raises what `job`, which makes the answer, does on the request thread.

    Where no sync call can come after it the spell ends with it.

    Args:
        is_last: Whether nothing outside of the route makes sync calls once the answer is made.
    """
    source = _source.get(None) if is_last else None
    if source is None:
        return tuple(await private.run_in_threadpool(job, *args))
    return tuple(await source.run(_run_and_end, source, job, args))


def _run_and_end(source: Source, job: Callable[..., Outcome], args: tuple[Any, ...]) -> Outcome:
    outcome = job(*args)
    # By place: the job is written by djfast_mount.fastpath.source, and returns no names.
    refused, reply = outcome[0], outcome[-3]
    lease = source.held
    if lease is not None and not refused and (reply is None or _makes_no_calls(reply)):
        lease.end_with_this_call()
    return outcome


def _makes_no_calls(reply: Response) -> bool:
    """Whether a response of the endpoint's own making is sent without a sync call."""
    return type(reply).__call__ is Response.__call__ and reply.background is None
