"""What the requests of this process have cost in the last minutes.

`Figures.add` runs on the event loop, for each request that has ended; what is asked runs there too, or on the thread of
a view. Each request pays for `add`, so it only puts the record aside. Records are counted many at a time, those that
are alike together: when there are enough of them, or somebody asks. Each method takes the lock for as long as it
counts.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from djfast_mount.dashboard.durations import bucket_of
from djfast_mount.dashboard.time_window import SECONDS, SLOTS, Window
from djfast_mount.telemetry import Repeated, RequestRecord, subscribe

__all__ = ["Chart", "Figures", "RouteFigures", "Suspicion", "figures", "listen"]

# Routes that are counted by themselves. What further ones cost is counted together.
ROUTES = 200
# Requests that are remembered of each slot, and that are shown.
SLOWEST = 10
# Suspicions that are remembered; those that were seen last.
SUSPICIONS = 50
# Records that are put aside before they are counted.
ASIDE = 256

Key = tuple[str, str, str]


class RouteFigures(NamedTuple):
    """One route in the last minutes. Times are in seconds; None where no request tells."""

    owner: str
    method: str
    route: str
    requests: int
    errors: int
    rate: float
    """Requests a second, in the last ten to twenty seconds."""
    p50: float | None
    p99: float | None


class Chart(NamedTuple):
    """The last minutes in `SLOTS` slots of `SECONDS` each, the oldest first."""

    rate: list[float]
    errors: list[float]
    p50: list[float | None]
    p99: list[float | None]


class Suspicion(NamedTuple):
    """A statement that requests of a route have sent too often."""

    route: str
    repeated: Repeated
    requests: int
    """How many requests have done so."""


class Figures:
    """Counts what it is told of.

    Args:
        clock: Seconds, which never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.since = time.time()
        self._begun = clock()
        self._aside: deque[tuple[float, RequestRecord]] = deque()  # with the time of the clock
        self._whole = Window()  # guarded by _lock
        self._routes: dict[Key, Window] = {}  # guarded by _lock
        self._slowest: OrderedDict[int, list[tuple[float, int, RequestRecord]]] = OrderedDict()  # guarded by _lock
        self._suspicions: OrderedDict[tuple[str, str, str], Suspicion] = OrderedDict()  # guarded by _lock
        self._tidied_in = -1  # guarded by _lock; the slot in which the routes were last gone through
        self._slowest_in = -1  # guarded by _lock; the slot of which `_slow_enough` is told
        self._slow_enough = 0.0  # guarded by _lock; seconds above which a request is among the slowest of its slot
        self._kept = 0  # guarded by _lock; how many requests were kept as slow
        self._left_out: set[int] = set()  # ids of records in the making; changed on event loops only

    def add(self, record: RequestRecord) -> None:
        """Counts a request that has ended."""
        # By id: the record is the very object that a view has named, and nothing is kept alive by a number.
        if self._left_out and id(record) in self._left_out:
            self._left_out.discard(id(record))
            return
        self._aside.append((self._clock(), record))
        if len(self._aside) >= ASIDE:
            with self._lock:
                self._count()

    def leave_out(self, record: RequestRecord | None) -> None:
        """Has the request that `record` is of not be counted: it is not the project's. Called before it ends."""
        if record is not None:
            self._left_out.add(id(record))

    def routes(self) -> list[RouteFigures]:
        """Returns the routes that were asked in the last minutes, those that took most time first."""
        number = int(self._clock() / SECONDS)
        with self._lock:
            self._count()
            self._tidy(number)
            found = [self._figures(key, window, number) for key, window in self._routes.items()]
        return sorted(found, key=lambda row: row.requests * (row.p50 or 0.0), reverse=True)

    def whole(self) -> RouteFigures:
        """Returns the same for all routes together."""
        number = int(self._clock() / SECONDS)
        with self._lock:
            self._count()
            self._whole.forget(number)
            return self._figures(("", "", ""), self._whole, number)

    def chart(self, key: Key | None = None) -> Chart:
        """Returns the course of one route, by owner, method and route, or of all together."""
        number = int(self._clock() / SECONDS)
        with self._lock:
            self._count()
            window = self._whole if key is None else self._routes.get(key, Window())
            slots = window.slots(number)
            return Chart(
                rate=[slot.count / SECONDS if slot else 0.0 for slot in slots],
                errors=[slot.errors / SECONDS if slot else 0.0 for slot in slots],
                p50=[slot.durations.percentile(50) if slot else None for slot in slots],
                p99=[slot.durations.percentile(99) if slot else None for slot in slots],
            )

    def slowest(self) -> list[RequestRecord]:
        """Returns the slowest requests of the last minutes, the slowest first."""
        number = int(self._clock() / SECONDS)
        with self._lock:
            self._count()
            self._tidy(number)
            kept = [entry for entries in self._slowest.values() for entry in entries]
        return [record for _, _, record in heapq.nlargest(SLOWEST, kept)]

    def suspicions(self) -> list[Suspicion]:
        """Returns the suspicions of N+1 queries since the figures were begun, the one that was seen last first."""
        with self._lock:
            self._count()
            return list(reversed(self._suspicions.values()))

    def _count(self) -> None:
        """Counts the records that were put aside."""
        alike: dict[tuple[Key, int, int | None, bool], int] = {}
        while self._aside:
            at, record = self._aside.popleft()
            number = int(at / SECONDS)
            duration = record.duration
            bucket = bucket_of(duration) if record.kind == "http" else None
            kind = ((record.owner, record.method, record.route or ""), number, bucket, _has_failed(record))
            alike[kind] = alike.get(kind, 0) + 1
            if bucket is not None and (number != self._slowest_in or duration > self._slow_enough):
                self._keep_slowest(number, duration, record)
            for repeated in record.repeated:
                self._suspect(record, repeated)
        for (key, number, bucket, failed), times in alike.items():
            window = self._routes.get(key) or self._window(key, number)
            window.add(number, bucket, failed, times)
            self._whole.add(number, bucket, failed, times)

    def _window(self, key: Key, number: int) -> Window:
        # Once for each slot, since each request of a route beyond the limit comes here.
        if len(self._routes) >= ROUTES and number != self._tidied_in:
            self._tidy(number)
        if len(self._routes) >= ROUTES:
            key = ("", "", "other routes")
        return self._routes.setdefault(key, Window())

    def _tidy(self, number: int) -> None:
        """Forgets what happened too long ago, and the routes that nobody has asked since."""
        self._tidied_in = number
        for key, window in list(self._routes.items()):
            window.forget(number)
            if not window.count:
                del self._routes[key]
        while self._slowest and next(iter(self._slowest)) < number - SLOTS:
            self._slowest.popitem(last=False)

    def _figures(self, key: Key, window: Window, number: int) -> RouteFigures:
        now = self._clock()
        recent = [window.slot(number), window.slot(number - 1)]
        covered = min(now - (number - 1) * SECONDS, max(now - self._begun, 1.0))
        rate = sum(slot.count for slot in recent if slot) / covered
        times = window.durations
        return RouteFigures(*key, window.count, window.errors, rate, times.percentile(50), times.percentile(99))

    def _keep_slowest(self, number: int, seconds: float, record: RequestRecord) -> None:
        kept = self._slowest.get(number)
        if kept is None:
            kept = self._slowest[number] = []
            if len(self._slowest) > SLOTS + 1:
                self._slowest.popitem(last=False)
        self._kept += 1
        heapq.heappush(kept, (seconds, self._kept, record))
        if len(kept) > SLOWEST:
            heapq.heappop(kept)
        self._slowest_in = number
        self._slow_enough = kept[0][0] if len(kept) == SLOWEST else -1.0

    def _suspect(self, record: RequestRecord, repeated: Repeated) -> None:
        route = f"{record.method} {record.route or '(no route)'}"
        key = (route, repeated.statement, repeated.location)
        known = self._suspicions.pop(key, None)
        if known is None:
            self._suspicions[key] = Suspicion(route, repeated, 1)
        else:
            worst = max(known.repeated, repeated, key=lambda each: each.times)
            self._suspicions[key] = Suspicion(route, worst, known.requests + 1)
        if len(self._suspicions) > SUSPICIONS:
            self._suspicions.popitem(last=False)


def _has_failed(record: RequestRecord) -> bool:
    status = record.status
    if record.error is not None or status is None:
        return record.error is not None
    # 1011 is the code with which a server closes a websocket for an error of its own.
    return status >= 500 if record.kind == "http" else status == 1011


figures = Figures()
"""Those of this process."""


def listen() -> None:
    """Has `figures` told of every request from now on. A second call changes nothing."""
    subscribe(figures.add)
