"""How long things took, in a fixed number of buckets: percentiles without keeping the durations."""

from __future__ import annotations

import itertools
import math
import operator
from array import array
from math import log2

__all__ = ["Durations", "bucket_of"]

# Sixteen buckets to an octave are 4.4 % wide each: what is told is off by 2.2 % at most.
_PER_OCTAVE = 16
# 2**-14 s is 61 us, 2**6 s is 64 s. What lies outside counts as the first or the last.
_FIRST_OCTAVE = -14
_BUCKETS = _PER_OCTAVE * 20
_SHORTEST = 2.0**_FIRST_OCTAVE


def bucket_of(seconds: float) -> int:
    """Returns the number of the bucket for a duration."""
    # Every request is counted here: no min() and max(), which cost more than the logarithm.
    if seconds <= _SHORTEST:
        return 0
    bucket = int((log2(seconds) - _FIRST_OCTAVE) * _PER_OCTAVE)
    return bucket if bucket < _BUCKETS else _BUCKETS - 1


class Durations:
    """Counts of durations, 1.3 kB in all."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = array("I", bytes(array("I").itemsize * _BUCKETS))

    def add(self, other: Durations) -> None:
        """Adds what has been counted in `other`."""
        self.counts = array("I", map(operator.add, self.counts, other.counts))

    def subtract(self, other: Durations) -> None:
        """Takes out what has been counted in `other`."""
        self.counts = array("I", map(operator.sub, self.counts, other.counts))

    def percentile(self, percent: float) -> float | None:
        """Returns the seconds that `percent` of all took at most; None where there is none."""
        total = sum(self.counts)
        if not total:
            return None
        rank = math.ceil(total * percent / 100)
        reached = itertools.accumulate(self.counts)
        bucket = next(bucket for bucket, count in enumerate(reached) if count >= rank)
        return float(2.0 ** (_FIRST_OCTAVE + (bucket + 0.5) / _PER_OCTAVE))
