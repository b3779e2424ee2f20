"""The tables of the page, as text: for the template, for the page's script and for a terminal alike.

Each function returns one table. Times are written in milliseconds below a second.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from django.core.checks import CheckMessage
from django.utils import timezone

from djfast_mount.dashboard.figures import RouteFigures, Suspicion
from djfast_mount.dashboard.leaks import Leak
from djfast_mount.dashboard.process import Connections, Threads
from djfast_mount.route_table import Route
from djfast_mount.telemetry import RequestRecord

__all__ = [
    "Cell",
    "Table",
    "connection_table",
    "finding_table",
    "leak_table",
    "merged_route_table",
    "request_table",
    "slowest_table",
    "span",
    "suspicion_table",
    "thread_table",
    "waiting_table",
]

# Rows that the stream sends each time. The table of merged routes does not change, so the page shows all of it.
MOST_ROUTES = 40


class Cell(NamedTuple):
    """What a template needs of a cell."""

    heading: str
    is_number: bool
    text: str


class Table(NamedTuple):
    """A table of text. Its last columns are numbers."""

    key: str
    title: str
    texts: Sequence[str]
    """The headings of the columns of text."""
    numbers: Sequence[str]
    """The headings of the columns of numbers, which come after them."""
    rows: Sequence[Sequence[str]]
    empty: str
    """What is said where there are no rows."""
    note: str = ""

    def cells(self) -> Iterator[list[Cell]]:
        """Yields the rows, each cell with its heading: on a phone it stands beside the cell."""
        headings = [(text, False) for text in self.texts] + [(number, True) for number in self.numbers]
        for row in self.rows:
            yield [Cell(*heading, text) for heading, text in zip(headings, row, strict=True)]


def thread_table(threads: Threads) -> Table:
    """The threads that requests have."""
    rows = [
        (thread.name, thread.request, thread.doing, span(thread.seconds) if thread.seconds else "")
        for thread in threads.taken
    ]
    note = f"{threads.running} taken, {threads.idle} idle, {threads.parked} parked; {threads.size} at most run"
    return Table("threads", "Threads", ("Thread", "Request", "Doing"), ("For",), rows, "No request has one.", note)


def waiting_table(threads: Threads) -> Table:
    """The requests that wait for a thread."""
    rows = [(waiting.request, span(waiting.seconds)) for waiting in threads.waiting]
    note = f"{len(rows)} of {threads.queued}" if threads.queued > len(rows) else ""
    return Table("waiting", "Requests that wait for a thread", ("Request",), ("For",), rows, "None waits.", note)


def connection_table(connections: Iterable[Connections]) -> Table:
    """The connections to each database."""
    rows = [(each.alias, each.engine, str(each.used), str(each.in_transaction), str(each.kept)) for each in connections]
    numbers = ("On threads", "In a transaction", "Kept for the next")
    return Table("connections", "Database connections", ("Alias", "Engine"), numbers, rows, "There is no database.")


def request_table(routes: Sequence[RouteFigures]) -> Table:
    """What the requests of each route have cost."""
    rows = [
        (
            row.owner,
            _request(row.owner, row.method, row.route),
            f"{row.rate:.1f}",
            str(row.requests),
            str(row.errors),
            span(row.p50),
            span(row.p99),
        )
        for row in routes[:MOST_ROUTES]
    ]
    numbers = ("Requests/s", "Requests", "Errors", "p50", "p99")
    note = f"{len(rows)} of {len(routes)} routes" if len(routes) > len(rows) else ""
    return Table("requests", "Requests", ("Owner", "Route"), numbers, rows, "None yet.", note)


def slowest_table(records: Iterable[RequestRecord]) -> Table:
    """The slowest requests, and where their time went."""
    rows = [
        (
            _time(record.started),
            _request(record.owner, record.method, record.route),
            _outcome(record),
            record.request_id or "",
            span(record.duration),
            span(record.wait),
            span(record.on_thread),
            span(record.query_time),
            str(record.queries),
        )
        for record in records
    ]
    texts = ("At", "Route", "Outcome", "Request ID")
    numbers = ("Took", "Waited", "On a thread", "In queries", "Queries")
    return Table("slowest", "Slowest requests", texts, numbers, rows, "None yet.")


def suspicion_table(suspicions: Iterable[Suspicion]) -> Table:
    """The statements that repeat themselves."""
    rows = [
        (
            suspicion.route,
            suspicion.repeated.location or "no line of the project",
            suspicion.repeated.statement,
            str(suspicion.repeated.times),
            str(suspicion.requests),
        )
        for suspicion in suspicions
    ]
    texts, numbers = ("Route", "Line", "Statement"), ("Times in one request", "Requests")
    return Table("suspicions", "Suspicion of N+1 queries", texts, numbers, rows, "No statement repeats itself.")


def leak_table(leaks: Iterable[Leak]) -> Table:
    """What requests have left behind."""
    rows = [(leak.where, leak.what, str(leak.times)) for leak in leaks]
    return Table("leaks", "Leaks", ("Where", "What"), ("Times",), rows, "None was seen.")


def finding_table(found: Iterable[CheckMessage], note: str) -> Table:
    """What the doctor says."""
    rows = [(_level(message), message.id or "", _said(message), message.hint or "") for message in found]
    texts = ("Level", "ID", "Finding", "Remedy")
    return Table("findings", "Findings of the doctor", texts, (), rows, "There is nothing to mend.", note)


def merged_route_table(routes: Iterable[Route]) -> Table:
    """The routes of both halves, in the order in which they are asked."""
    rows = [(route.path, " ".join(route.methods), route.owner, route.name, route.auth) for route in routes]
    texts = ("Path", "Methods", "Owner", "Name", "For whom")
    return Table("routes", "Routes", texts, (), rows, "There are no routes.", f"{len(rows)} routes")


def _request(owner: str, method: str, route: str | None) -> str:
    nameless = "(a file)" if owner == "static" else "(no route)"
    return f"{method} {route or nameless}".strip()


def _outcome(record: RequestRecord) -> str:
    if record.error is not None:
        return record.error
    return "client gone" if record.client_gone else str(record.status or "")


def span(seconds: float | None) -> str:
    """Writes a time for people."""
    if seconds is None:
        return ""
    if seconds >= 100:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def _time(epoch: float) -> str:
    moment = datetime.datetime.fromtimestamp(epoch, tz=datetime.UTC)
    return timezone.localtime(moment).strftime("%H:%M:%S")


def _said(message: CheckMessage) -> str:
    return f"{message.obj}: {message.msg}" if message.obj else message.msg


def _level(message: CheckMessage) -> str:
    return "error" if message.level >= 40 else "warning" if message.level >= 30 else "note"
