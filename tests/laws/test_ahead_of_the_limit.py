"""Law 8: a stream that cannot wait goes ahead of the limit, and then may hold its thread only while it is read."""

from __future__ import annotations

import asyncio

import pytest

from laws.site import Site
from laws.test_slow import api, assert_others_are_answered

pytestmark = pytest.mark.long


async def test_one_that_went_ahead_is_cut_off_soon(site: Site) -> None:
    """Of three streams in transactions on four threads the third, which is one too many, ends when its client is slow.

    The two within the limit have as long as `send_timeout` says. So another request always finds a thread.
    """
    async with site(api, threads=4) as root:
        within = [root.open("/api/pinned", takes=3) for _ in range(2)]
        await asyncio.gather(*[client.took(3) for client in within])
        ahead = root.open("/api/pinned", takes=3)
        await ahead.took(3)
        await ahead.ended()
        assert not any(client.task.done() for client in within)
        await assert_others_are_answered(root)
        for client in within:
            client.leave()
        await asyncio.gather(*[client.ended() for client in within])
