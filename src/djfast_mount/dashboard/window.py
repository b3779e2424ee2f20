"""What has happened in the last minutes, in slots of time. The caller says what time it is."""

from __future__ import annotations

from collections import deque

from djfast_mount.dashboard.durations import Durations, bucket_of

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

    __slots__ = ("_slots", "count", "durations", "errors")

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque(maxlen=SLOTS + 1)
        self.count = 0
        self.errors = 0
        self.durations = Durations()

    def add(self, number: int, seconds: float | None, failed: bool) -> None:
        """Counts one request. Without `seconds` it counts among no durations: it was a stream, say."""
        slot = self._slots[-1] if self._slots else None
        if slot is None or slot.number != number:
            self.forget(number)
            slot = Slot(number)
            self._slots.append(slot)
        slot.count += 1
        self.count += 1
        if failed:
            slot.errors += 1
            self.errors += 1
        if seconds is not None:
            bucket = bucket_of(seconds)
            slot.durations.counts[bucket] += 1
            self.durations.counts[bucket] += 1

    def forget(self, number: int) -> None:
        """Takes out what happened too long ago."""
        while self._slots and self._slots[0].number < number - SLOTS:
            slot = self._slots.popleft()
            self.count -= slot.count
            self.errors -= slot.errors
            self.durations.subtract(slot.durations)

    def slot(self, number: int) -> Slot | None:
        """Returns the slot of this number; None where nothing happened in it, or it is gone."""
        return next((slot for slot in reversed(self._slots) if slot.number == number), None)

    def slots(self, number: int) -> list[Slot | None]:
        """Returns the `SLOTS` slots before this one, the oldest first."""
        known = {slot.number: slot for slot in self._slots}
        return [known.get(before) for before in range(number - SLOTS, number)]
