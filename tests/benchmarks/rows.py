"""What is asked of whom, and what must come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from benchmarks.servers import THREADS

WAIT = 0.05  # seconds in the database, in the row that waits


class Contender(NamedTuple):
    """A server of servers.py and the path it is asked for. `shown` tells two paths of one server apart."""

    server: str
    path: str
    shown: str = ""

    @property
    def name(self) -> str:
        return self.shown or self.server


@dataclass(frozen=True)
class Row:
    """One kind of work: the mounted app, and what a user would run instead."""

    mounted: Contender
    peers: tuple[Contender, ...]
    logged_in: bool = False
    ideal: tuple[str, float] | None = None
    """What cannot be passed: its name, and requests per second."""
    post: int = 0
    """Bytes of the JSON that is sent, about; 0: it is a GET."""
    status: int = 200
    """What is answered."""
    longer: int = 1
    """How many times as long each round is: where answers are few, those count that its end cuts off."""


class Target(NamedTuple):
    """What a row must reach against one peer. Figures are ratios, above 1 where the mounted app is better:

    rate: its requests per second to the peer's; judged for the processor's time per request too.
    p99: the peer's 99th percentile to its own.
    memory: its megabytes to the peers' together; at most.
    growth: the megabytes that it has grown by; at most.
    """

    row: str
    peer: str
    figure: Literal["rate", "p99", "memory", "growth"]
    bound: float

    @property
    def at_most(self) -> bool:
        return self.figure in ("memory", "growth")


BEST = "the best peer"
BARE = f"psycopg alone, {THREADS} threads"  # no server: what can be reached of the ideal on the machine
LIMIT = "bytes from memory"  # what a server of files comes near to: not among the peers of which one is the best
IDEAL = f"{THREADS} threads / {WAIT} s"
GROWTH = "memory, 10 kB file over and over"
TENTH = "after a tenth of the requests"
PAIR = "memory, one process"
BOTH = "FastAPI and Django, one process each"


def same(path: str, *servers: str, logged_in: bool = False, longer: int = 1) -> Row:
    peers = tuple(Contender(server, path) for server in servers)
    return Row(Contender("mounted", path), peers, logged_in, longer=longer)


def api(path: str, *servers: str, post: int = 0, status: int = 200) -> Row:
    """The API stands at the root where it is alone."""
    roots = {server: path if server.startswith("FastAPI") else f"/api{path}" for server in servers}
    peers = tuple(Contender(*item) for item in roots.items())
    return Row(Contender("mounted", f"/api{path}"), peers, post=post, status=status)


FILES = ("WhiteNoise, Django ASGI", "WhiteNoise, gunicorn", "Starlette StaticFiles", "ServeStatic", "blacknoise", LIMIT)
FRAMEWORKS = ("FastAPI alone", "hand-made Mount", "Starlette", "Litestar", "django-bolt")
LAST = "/area9/thing29/1"

ROWS: dict[str, Row] = {
    "Django sync view": same("/hello", "Django ASGI", "gunicorn gthread"),
    "Django sync view, one query": same("/query", "Django ASGI", "gunicorn gthread"),
    "Django admin index": same("/admin/", "Django ASGI", "gunicorn gthread", logged_in=True, longer=2),
    "Django async view": same("/hello-async", "Django ASGI"),
    "API async endpoint": api("/hello", *FRAMEWORKS),
    "API async endpoint, nothing added": Row(
        Contender("mounted, unchecked", "/api/hello"), (Contender("FastAPI alone", "/hello"),)
    ),
    "API path and query parameters, model": api("/items/7?name=x&limit=5", *FRAMEWORKS),
    "API JSON body, 1 kB": api("/orders", *FRAMEWORKS, post=1_000),
    "API JSON body, 100 kB": api("/orders", *FRAMEWORKS, post=100_000),
    "API list of 100 models": api("/list", *FRAMEWORKS),
    "API three dependencies": api("/three-dependencies", "FastAPI alone", "hand-made Mount"),
    "API validation error": api("/items/no?name=x", "FastAPI alone", "hand-made Mount", status=422),
    "API sync endpoint": api("/hello-sync", "FastAPI alone", "hand-made Mount"),
    "API sync endpoint, dependency, one query": api("/query-dependency", "hand-made Mount"),
    "API sync endpoint, yield dependency, one query": api("/query-yield", "hand-made Mount"),
    "API sync endpoint, yield dependency with atomic": api("/query-atomic", "hand-made Mount"),
    "API sync endpoint, one query": api(
        "/query",
        "django-ninja, gunicorn",
        "django-ninja without middleware, gunicorn",
        "DRF, gunicorn",
        "django-bolt",
        "hand-made Mount",
        "the query alone",
    ),
    "API sync endpoint, one row serialized": api(
        "/row/1", "django-ninja, gunicorn", "DRF, gunicorn", "django-bolt", "hand-made Mount"
    ),
    "API async ORM": api("/query-async", "hand-made Mount", "the async query alone"),
    "API async ORM, 50 ms in the database": Row(
        Contender(f"mounted, threads={THREADS}", "/api/wait-async"),
        (Contender("hand-made Mount", "/api/wait-async"), Contender(BARE, "")),
        ideal=(IDEAL, THREADS / WAIT),
        longer=2,
    ),
    "the last of 300 routes": Row(
        Contender("mounted, 300 routes", f"/api{LAST}"),
        (
            Contender("FastAPI alone, 300 routes", LAST),
            Contender("mounted, 300 routes", "/one/area0/thing0/1", "mounted, one route"),
        ),
    ),
    "static file, 10 kB": same("/static/ten.css", *FILES),
    "static file, 1 MB": same("/static/thousand.bin", *FILES),
}

TARGETS = [
    Target("Django sync view", "Django ASGI", "rate", 6.0),
    Target("Django sync view", "gunicorn gthread", "rate", 1.3),
    Target("Django sync view", "Django ASGI", "p99", 2.0),
    Target("Django sync view, one query", "Django ASGI", "rate", 5.0),
    Target("Django sync view, one query", "gunicorn gthread", "rate", 1.3),
    Target("Django sync view, one query", "Django ASGI", "p99", 2.0),
    Target("Django admin index", "Django ASGI", "rate", 1.8),
    Target("Django admin index", "gunicorn gthread", "rate", 1.0),
    Target("Django admin index", "Django ASGI", "p99", 2.0),
    Target("Django async view", "Django ASGI", "rate", 1.0),
    Target("Django async view", "Django ASGI", "p99", 2.0),
    Target("API async endpoint", "FastAPI alone", "rate", 2.8),
    Target("API async endpoint", "FastAPI alone", "p99", 1.0),
    Target("API async endpoint", "django-bolt", "rate", 1.2),
    Target("API async endpoint, nothing added", "FastAPI alone", "rate", 2.8),
    Target("API path and query parameters, model", "FastAPI alone", "rate", 2.8),
    Target("API path and query parameters, model", "FastAPI alone", "p99", 1.0),
    Target("API JSON body, 1 kB", "FastAPI alone", "rate", 2.6),
    Target("API JSON body, 1 kB", "FastAPI alone", "p99", 1.0),
    Target("API list of 100 models", "FastAPI alone", "rate", 2.0),
    Target("API list of 100 models", "FastAPI alone", "p99", 1.0),
    Target("API three dependencies", "FastAPI alone", "rate", 4.0),
    Target("API three dependencies", "FastAPI alone", "p99", 1.0),
    Target("API validation error", "FastAPI alone", "rate", 1.1),
    Target("API validation error", "FastAPI alone", "p99", 1.0),
    Target("API sync endpoint", "FastAPI alone", "rate", 2.8),
    Target("API sync endpoint", "FastAPI alone", "p99", 1.0),
    Target("API sync endpoint, dependency, one query", "hand-made Mount", "rate", 1.5),
    Target("API sync endpoint, yield dependency, one query", "hand-made Mount", "rate", 1.4),
    Target("API sync endpoint, yield dependency with atomic", "hand-made Mount", "rate", 1.4),
    Target("API sync endpoint, one query", "django-bolt", "rate", 0.85),
    Target("API sync endpoint, one query", "django-ninja, gunicorn", "rate", 2.3),
    Target("API sync endpoint, one query", "DRF, gunicorn", "rate", 3.5),
    Target("API sync endpoint, one row serialized", "django-bolt", "rate", 0.75),
    Target("API sync endpoint, one row serialized", "django-ninja, gunicorn", "rate", 1.8),
    Target("API sync endpoint, one row serialized", "DRF, gunicorn", "rate", 3.5),
    Target("API async ORM", "hand-made Mount", "rate", 1.5),
    Target("API async ORM, 50 ms in the database", IDEAL, "rate", 0.9),
    Target("the last of 300 routes", "FastAPI alone, 300 routes", "rate", 14.0),
    Target("the last of 300 routes", "mounted, one route", "rate", 0.9),
    Target("static file, 10 kB", LIMIT, "rate", 0.85),
    Target("static file, 10 kB", "WhiteNoise, Django ASGI", "rate", 15.0),
    Target("static file, 1 MB", BEST, "rate", 1.0),
    Target(GROWTH, TENTH, "growth", 5.0),
    Target(PAIR, BOTH, "memory", 0.65),
]
