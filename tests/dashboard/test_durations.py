"""Percentiles out of buckets, against those of the durations themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djfast_mount.dashboard.durations import Durations, bucket_of

pytestmark = pytest.mark.once

SECONDS = st.floats(min_value=1e-4, max_value=60)


def counted(seconds: list[float]) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.counts[bucket_of(each)] += 1
    return durations


@given(st.lists(SECONDS, min_size=1), st.sampled_from([50, 99]))
def test_a_percentile_is_off_by_a_fortieth_at_most(seconds: list[float], percent: int) -> None:
    """It is the duration at that rank, to 2.3 %."""
    rank = math.ceil(len(seconds) * percent / 100)
    assert counted(seconds).percentile(percent) == pytest.approx(sorted(seconds)[rank - 1], rel=0.023)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, 6.2e-5), (-1.0, 6.2e-5), (1e-9, 6.2e-5), (1e6, 62.6)])
def test_what_is_too_short_or_too_long_counts_at_the_edge(seconds: float, told: float) -> None:
    """A duration outside of the buckets counts in the first or in the last."""
    assert counted([seconds]).percentile(50) == pytest.approx(told, rel=0.01)


def test_nothing_has_no_percentile() -> None:
    """Without durations there is none, also after all have been taken out."""
    durations = counted([0.1, 0.2])
    assert durations.percentile(50) is not None
    durations.subtract(counted([0.1, 0.2]))
    assert durations.percentile(50) is None
