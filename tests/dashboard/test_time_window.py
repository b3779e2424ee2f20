"""What is counted in slots of time, against a list of all that happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djfast_mount.dashboard.durations import bucket_of
from djfast_mount.dashboard.time_window import SLOTS, Window

pytestmark = pytest.mark.once

EVENTS = st.lists(st.tuples(st.integers(0, 3 * SLOTS), st.sampled_from([0.01, 0.1, 1.0]), st.booleans()), max_size=60)


@given(EVENTS, st.integers(0, SLOTS + 2))
def test_what_is_too_old_is_gone(events: list[tuple[int, float, bool]], later: int) -> None:
    """At any time it holds what happened in this slot and in the `SLOTS` before, and nothing else."""
    events.sort()
    window = Window()
    for number, seconds, failed in events:
        window.add(number, bucket_of(seconds), failed)
    now = (events[-1][0] if events else 0) + later
    window.forget(now)
    kept = [event for event in events if event[0] >= now - SLOTS]
    assert (window.count, window.errors) == (len(kept), sum(failed for _, _, failed in kept))
    assert sum(window.durations.counts) == len(kept)
    slots = window.slots(now)
    assert len(slots) == SLOTS
    assert [slot.count if slot else 0 for slot in slots] == [
        sum(event[0] == number for event in events) for number in range(now - SLOTS, now)
    ]


def test_what_has_no_duration_counts_all_the_same() -> None:
    """A websocket is a request, and none of the durations."""
    window = Window()
    window.add(1, None, failed=False)
    assert (window.count, window.durations.percentile(50)) == (1, None)
