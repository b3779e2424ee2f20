"""What is counted of requests that have ended, and what is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from djfast_mount.dashboard.figures import ASIDE, ROUTES, SLOWEST, SUSPICIONS, Figures
from djfast_mount.dashboard.time_window import SECONDS, SLOTS
from djfast_mount.telemetry import Repeated, RequestRecord

pytestmark = pytest.mark.once


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def figures(clock: Clock) -> Figures:
    return Figures(clock)


def record(route: str | None = "/api/items", **known: Any) -> RequestRecord:
    more: dict[str, Any] = {"kind": "http", "method": "GET", "started": 0.0, "owner": "api", "status": 200, **known}
    return RequestRecord(route=route, **more)


def test_routes_are_told_apart(figures: Figures) -> None:
    """Owner, method and route make a row, with its requests, its errors and its times."""
    for status in (200, 404, 500):
        figures.add(record(status=status, duration=0.1))
    figures.add(record(status=None, error="ValueError", duration=0.1))
    figures.add(record(method="POST", duration=0.2))
    figures.add(record(route=None, owner="django", duration=0.001))
    told = {(row.owner, row.method, row.route): (row.requests, row.errors) for row in figures.routes()}
    assert told == {
        ("api", "GET", "/api/items"): (4, 2),
        ("api", "POST", "/api/items"): (1, 0),
        ("django", "GET", ""): (1, 0),
    }
    assert figures.routes()[0].p50 == pytest.approx(0.1, rel=0.03)
    assert (figures.whole().requests, figures.whole().errors) == (6, 2)


def test_the_rate_is_that_of_the_last_seconds(figures: Figures, clock: Clock) -> None:
    """Ten requests a second are ten, at the beginning, within a slot and at its edge; none a while later."""
    for tenth in range(350):
        clock.now += 0.1
        figures.add(record())
        if tenth > 20:
            assert figures.whole().rate == pytest.approx(10, rel=0.06)
    clock.now += 2 * SECONDS
    assert figures.whole().rate == 0
    assert figures.routes()[0].requests == 350


def test_a_chart_has_whole_slots_only(figures: Figures, clock: Clock) -> None:
    """What happens now is in the chart once its slot is over, and at its end then."""
    figures.add(record(duration=0.1, status=500))
    assert figures.chart().rate == [0.0] * SLOTS
    clock.now += SECONDS
    for chart in (figures.chart(), figures.chart(("api", "GET", "/api/items"))):
        assert chart.rate == [0.0] * (SLOTS - 1) + [1 / SECONDS] == chart.errors
        assert chart.p50[:-1] == [None] * (SLOTS - 1)
        assert chart.p50[-1] == chart.p99[-1] == pytest.approx(0.1, rel=0.03)
    assert figures.chart(("api", "GET", "/nowhere")).rate == [0.0] * SLOTS


def test_memory_is_bounded(figures: Figures) -> None:
    """However many routes, requests and suspicions there are, a fixed number is kept, and every request is counted."""
    for number in range(3 * ROUTES):
        repeated = (Repeated(f"SELECT {number}", 11, "views.py:1"),)
        figures.add(record(route=f"/{number}", duration=number / 1000, repeated=repeated))
    rows = figures.routes()
    assert len(rows) == ROUTES + 1
    assert sum(row.requests for row in rows) == figures.whole().requests == 3 * ROUTES
    assert next(row.requests for row in rows if row.route == "other routes") == 2 * ROUTES
    assert [each.route for each in figures.slowest()] == [f"/{3 * ROUTES - 1 - place}" for place in range(SLOWEST)]
    assert len(figures.suspicions()) == SUSPICIONS


def test_further_routes_cost_no_more_than_others(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many routes as are kept, a request of another one does not go through them all."""
    for number in range(ROUTES):
        figures.add(record(route=f"/{number}"))
    tidied: list[int] = []
    tidy = Figures._tidy
    monkeypatch.setattr(Figures, "_tidy", lambda self, number: tidied.append(number) or tidy(self, number))
    for number in range(500):
        figures.add(record(route=f"/further/{number}"))
    assert len(tidied) <= 1
    assert next(row.requests for row in figures.routes() if row.route == "other routes") == 500


def test_few_records_are_put_aside(figures: Figures) -> None:
    """They are counted when there are enough of them, though nobody asks, and none is counted twice."""
    for number in range(10 * ASIDE + 7):
        figures.add(record(route=f"/{number % 3}", duration=number % 5 / 100, status=500 if number % 7 == 0 else 200))
        assert len(figures._aside) < ASIDE
    assert figures.whole().requests == 10 * ASIDE + 7
    assert figures.whole().errors == len(range(0, 10 * ASIDE + 7, 7))
    assert sum(row.requests for row in figures.routes()) == 10 * ASIDE + 7
    assert len(figures._aside) == 0


def test_what_is_put_aside_counts_when_it_happened(figures: Figures, clock: Clock) -> None:
    """A record that is counted later is in the slot of time in which its request ended."""
    figures.add(record(duration=0.1))
    clock.now += 3 * SECONDS
    figures.add(record(duration=0.1))
    clock.now += SECONDS
    assert [slot for slot, rate in enumerate(figures.chart().rate) if rate] == [SLOTS - 4, SLOTS - 1]
    figures.add(record(duration=0.1))
    clock.now += SECONDS * (SLOTS + 2)
    assert figures.whole().requests == 0


def test_routes_that_nobody_asks_make_room(figures: Figures, clock: Clock) -> None:
    """After five minutes a route, and the slowest requests, are forgotten, and another takes the place."""
    for number in range(ROUTES):
        figures.add(record(route=f"/{number}", duration=1))
    clock.now += SECONDS * (SLOTS + 2)
    figures.add(record(route="/late", duration=0.1))
    assert [row.route for row in figures.routes()] == ["/late"]
    assert [each.route for each in figures.slowest()] == ["/late"]


def test_the_slowest_of_all_slots_come_first(figures: Figures, clock: Clock) -> None:
    """The slowest requests are those of the last minutes together, in the order of their time."""
    for number in range(2 * SLOWEST):
        figures.add(record(duration=(number * 7) % 20 + 1))
        clock.now += SECONDS / 2
    assert [each.duration for each in figures.slowest()] == [20 - place for place in range(SLOWEST)]


def test_a_suspicion_is_counted_by_its_statement_and_line(figures: Figures) -> None:
    """The same statement of the same line is one suspicion, with the most times that a request has sent it."""
    for times in (12, 40, 11):
        figures.add(record(repeated=(Repeated("SELECT a", times, "views.py:1"),)))
    figures.add(record(repeated=(Repeated("SELECT a", 12, "views.py:2"),)))
    told = [(each.repeated.location, each.repeated.times, each.requests) for each in figures.suspicions()]
    assert told == [("views.py:2", 12, 1), ("views.py:1", 40, 3)]


def test_a_websocket_has_no_time(figures: Figures) -> None:
    """How long a websocket was open is no time of a request, and it is not among the slowest."""
    figures.add(record(kind="websocket", method="", owner="websocket", status=1000, duration=60))
    assert [(row.requests, row.errors, row.p50) for row in figures.routes()] == [(1, 0, None)]
    assert figures.slowest() == []


def test_what_is_left_out_is_not_counted(figures: Figures) -> None:
    """A request that is to be left out is not counted, and the next one is."""
    own = record()
    figures.leave_out(own)
    figures.leave_out(None)
    figures.add(own)
    assert figures.whole().requests == 0
    figures.add(record())
    assert figures.whole().requests == 1
