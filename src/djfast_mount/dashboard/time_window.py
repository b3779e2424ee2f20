"""What has happened in the last minutes, in slots of time. The caller says what time it is."""

from __future__ import annotations

from collections import deque

from djfast_mount.dashboard.durations import Durations

__all__ = ["SECONDS", "SLOTS", "Slot", "Window"]

# Seconds of one slot.
SECONDS = 10.0
# How many slots are kept: five minutes.
SLOTS = 30


class Slot:
    """What has happened in one slot of time."""

    __slots__ = ("count", "durations", "errors", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.errors = 0
        self.durations = Durations()


class Window:
    """What has happened in the last `SLOTS` slots. A slot in which nothing did takes no memory.

    `number` is the number of the slot that it is now, which never falls.
    """

    __slots__ = ("_before", "_now", "_slots")

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque(maxlen=SLOTS + 1)
        self._now = Slot(-1)  # The last of _slots, once there is one.
        self._before = Slot(-1)  # All slots before that one, added up: to add thirty of them at each look takes long.

    def add(self, number: int, bucket: int | None, failed: bool, times: int = 1) -> None:
        """Counts `times` requests. Without a `bucket` they count among no durations: they were websockets, say."""
        slot = self._now
        if slot.number != number:
            slot = self._begin(number)
        slot.count += times
        if failed:
            slot.errors += times
        if bucket is not None:
            slot.durations.counts[bucket] += times

    @property
    def count(self) -> int:
        """How many requests there were."""
        return self._before.count + self._now.count

    @property
    def errors(self) -> int:
        """How many of them failed."""
        return self._before.errors + self._now.errors

    @property
    def durations(self) -> Durations:
        """How long they took."""
        durations = Durations()
        durations.counts = self._before.durations.counts
        durations.add(self._now.durations)  # add() makes a new array, so _before is not changed.
        return durations

    def forget(self, number: int) -> None:
        """Takes out what happened too long ago."""
        oldest = number - SLOTS
        if self._slots and self._now.number < oldest:
            self._slots.clear()
            self._now, self._before = Slot(-1), Slot(-1)
        while self._slots and self._slots[0].number < oldest:
            slot = self._slots.popleft()
            self._before.count -= slot.count
            self._before.errors -= slot.errors
            self._before.durations.subtract(slot.durations)

    def slot(self, number: int) -> Slot | None:
        """Returns the slot of this number; None where nothing happened in it, or it is gone."""
        return next((slot for slot in reversed(self._slots) if slot.number == number), None)

    def slots(self, number: int) -> list[Slot | None]:
        """Returns the `SLOTS` slots before this one, the oldest first."""
        known = {slot.number: slot for slot in self._slots}
        return [known.get(before) for before in range(number - SLOTS, number)]

    def _begin(self, number: int) -> Slot:
        self.forget(number)
        before, last = self._before, self._now
        before.count += last.count
        before.errors += last.errors
        before.durations.add(last.durations)
        self._now = Slot(number)
        self._slots.append(self._now)
        return self._now
