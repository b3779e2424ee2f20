"""Two paths for those who watch the process: ``/healthz``, alive, and ``/readyz``, ready for requests.

1. They are answered at the root, before Host check, static files and both halves, and stand in no schema and in no
   access log.
2. ``/healthz`` asks nothing: it takes no thread and no connection.
3. ``/readyz`` asks each database on a lease of its own, within a limit. A question that has no answer yet is not asked
   a second time: however often it is asked, readiness holds one worker for each database at most.
4. Checks of django-health-check that the project has chosen are asked too: see djfast_mount.health.checks.
5. Once SIGTERM has come ``/readyz`` answers 503, and the server hears of the signal `drain` seconds later: a balancer
   takes the process out before its port closes. See djfast_mount.lifespan.drain.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.conf import SETTING, option
from djfast_mount.exceptions import ConfigurationError, PoolTimeout
from djfast_mount.lifespan.drain import Drain, LastAnswers
from djfast_mount.offload.run import waiting_thread
from djfast_mount.request_thread.request import RequestThread, RequestThreads
from djfast_mount.threads.calls import FutureCall

__all__ = ["Health", "quiet"]

logger = logging.getLogger("djfast_mount.health")

quiet: ContextVar[bool] = ContextVar("djfast_mount_quiet", default=False)
"""Whether what is being sent is an answer about health, which no access log is to show."""

# Seconds after which unapplied migrations are looked up again.
RECHECK = 30.0
# Seconds in which a stream whose client reads nothing is cut off. A pool that is full for less time than that is still
# ready.
CUT_OFF = 3.0

_ACCESS_LOGS = ("uvicorn.access", "hypercorn.access")
_Probe = Callable[[], str]


def _not_quiet(record: logging.LogRecord) -> bool:
    return not quiet.get()


class Health:
    """What answers the health paths of one root.

    Args:
        threads: Where the databases are asked.
        taken: Paths that are no longer to be had: the prefixes of the apps.
        others: What the root answers besides, by path.
        drained: Called on the event loop when the drain begins.

    `paths` maps each path, inside of the outer prefix, to the ASGI app that answers it. Made at start-up; raises
    ConfigurationError where a path is taken.
    """

    def __init__(
        self,
        threads: RequestThreads,
        taken: Collection[str] = (),
        others: Mapping[str, ASGIApp] = MappingProxyType({}),
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        self._threads = threads
        self._limit: float = option("ready_timeout")
        self._drain = Drain(option("drain"), drained)
        self._up = True  # where the server drives no lifespan there is none to wait for
        self._asked: dict[str, tuple[asyncio.AbstractEventLoop, Future[str]]] = {}  # by what is asked
        self._migrations: dict[str, tuple[str, float]] = {}  # by alias: the answer, and when it came
        self._checks = _checks(threads)
        self._last = ""
        self.paths: dict[str, ASGIApp] = {}
        for other in others:
            _checked("metrics_path", other, taken)
        for key, app in (("health_path", self.alive), ("ready_path", self.ready)):
            path = _checked(key, option(key), {*taken, *others, *self.paths})
            if path is not None:
                self.paths[path] = app
        # A balancer asks every few seconds, and would fill the log. By a filter, as uvicorn has no setting for it.
        for name in _ACCESS_LOGS:
            logging.getLogger(name).addFilter(_not_quiet)

    @property
    def pool_size(self) -> int:
        """The most threads, and so the most connections of each database, that the root takes."""
        return self._threads.pool.size

    @property
    def draining(self) -> bool:
        """Whether SIGTERM has come: what goes on without an end is to end now."""
        return self._drain.draining

    def ending_connections(self, app: ASGIApp) -> ASGIApp:
        """Returns `app` inside of what has each HTTP/1 response be the last of its connection while `draining`."""
        return LastAnswers(app, lambda: self.draining)

    async def alive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answers 200 as long as the event loop turns."""
        await _answer(scope, send, 200, {"status": "alive"})

    async def ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answers 200 or 503, and what was found."""
        if self.draining or not self._up:
            status, found = "draining" if self.draining else "down", {}
        else:
            found = await self._look(scope)
            well = all(answer in _WELL for part in found.values() for answer in part.values())
            status = "ready" if well else "not ready"
        self._report(status, found)
        await _answer(scope, send, 200 if status == "ready" else 503, {"status": status, **found})

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: to be the last to start and the first to stop."""
        await receive()
        self._up = True
        self._drain.install()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._up = False
        self._drain.uninstall()
        await send({"type": "lifespan.shutdown.complete"})

    def expect_lifespan(self) -> None:
        """Has `/readyz` wait for the end of a start-up that begins now."""
        self._up = False

    async def _look(self, scope: Scope) -> dict[str, dict[str, str]]:
        # A project without a database has an alias all the same: Django puts the dummy backend there.
        aliases = [alias for alias in connections if connections.settings[alias]["ENGINE"] != _NO_DATABASE]
        pool = self._ask(scope, "threads", lambda: "free")
        databases = [self._ask(scope, f"database {alias}", _Database(alias)) for alias in aliases]
        migrations = [self._unapplied(scope, alias) for alias in aliases]
        checks = {} if self._checks is None else self._checks.ask(scope)
        waiting = [answer for answer in (pool, *databases, *migrations, *checks.values()) if not answer.done()]
        if waiting:
            await asyncio.wait(map(_watched, waiting), timeout=self._limit)
        if not pool.done() and self._threads.pool.streams.full:
            # Streams whose clients read nothing are cut off when others wait. That is not to take the process out.
            await asyncio.wait(map(_watched, waiting), timeout=CUT_OFF)
        without = "no answer" if pool.done() else "not asked"
        found = {
            "threads": {"pool": _outcome(pool, "exhausted")},
            "databases": {alias: _outcome(answer, without) for alias, answer in zip(aliases, databases, strict=True)},
            "migrations": {alias: _outcome(answer, without) for alias, answer in zip(aliases, migrations, strict=True)},
        }
        if checks:
            found["checks"] = {name: _outcome(answer, "no answer") for name, answer in checks.items()}
        return found

    def _ask(self, scope: Scope, name: str, probe: _Probe) -> Future[str]:
        """Has `probe` run on a lease of its own; where it is still running since an earlier call, that is the one."""
        loop = asyncio.get_running_loop()
        asked_on, asked = self._asked.get(name, (None, None))
        if asked is not None and asked_on is loop and not asked.done():
            return asked
        executor = waiting_thread()
        request = RequestThread(self._threads, scope, _send_nothing)
        request.executor = executor
        request.lingers = False
        lease = self._threads.lease_for(request, executor)
        # No later call belongs to the probe, so the worker is given back even if the probe left something open.
        lease.one_call = True
        call = FutureCall(probe)
        self._asked[name] = loop, call.future
        lease.submit(call)
        return call.future

    def _unapplied(self, scope: Scope, alias: str) -> Future[str]:
        found, at = self._migrations.get(alias, ("", 0.0))
        # For ever: nothing but a deployment, which starts other processes, takes migrations away.
        if found == "applied" or (found and time.monotonic() - at < RECHECK):
            known: Future[str] = Future()
            known.set_result(found)
            return known

        def look() -> str:
            answer = _migrations_of(alias)
            self._migrations[alias] = (answer, time.monotonic())
            return answer

        return self._ask(scope, f"migrations {alias}", look)

    def _report(self, status: str, found: dict[str, dict[str, str]]) -> None:
        said = json.dumps({"status": status, **found})
        # Only changes are logged: a balancer asks several times a minute.
        if said != self._last:
            level = logging.INFO if status in ("ready", "draining") else logging.WARNING
            if status != "ready" or self._last:
                logger.log(level, "Readiness: %s", said)
            self._last = said


_NO_DATABASE = "django.db.backends.dummy"
_WELL = {"free", "answers", "applied", "OK", "warning"}


class _Database:
    """Asks one database for one row. Runs on the lease's worker."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __call__(self) -> str:
        connection = connections[self._alias]
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1" + connection.features.bare_select_suffix)
            cursor.fetchone()
        return "answers"


def _checks(threads: RequestThreads) -> Any:
    """Returns what asks the chosen checks of django-health-check; None where there are none."""
    chosen = option("health_checks")
    if not chosen:
        return None
    try:
        return import_string("djfast_mount.health.checks.HealthChecks")(threads, chosen)
    except (ImportError, TypeError) as error:
        what = f"settings.{SETTING}['health_checks'] is {chosen!r}: {error}."
        raise ConfigurationError(f"{what} Install what is missing: pip install 'djfast-mount[health]'.") from error


def _migrations_of(alias: str) -> str:
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    missing = [migration for migration, _ in plan if router.allow_migrate(alias, migration.app_label)]
    if not missing:
        return "applied"
    logger.warning("Unapplied migrations in the database %r: %s", alias, ", ".join(map(str, missing)))
    return f"{len(missing)} unapplied"


def _watched(answer: Future[str]) -> asyncio.Future[str]:
    # The event loop would log an error that nobody takes from a future of its own.
    watched = asyncio.wrap_future(answer)
    watched.add_done_callback(lambda done: done.cancelled() or done.exception())
    return watched


def _outcome(answer: Future[str], without: str) -> str:
    """What is told of a question: its answer, or the kind of its error. The message may name hosts and users."""
    if not answer.done():
        return without
    error = answer.exception()
    if error is None:
        return answer.result()
    return without if isinstance(error, PoolTimeout) else type(error).__name__


def _checked(key: str, path: str | None, taken: Collection[str]) -> str | None:
    if path in taken:
        raise ConfigurationError(
            f"settings.{SETTING}[{key!r}] is {path!r}, which is mounted or named already. Give another path, or None."
        )
    return path


async def _send_nothing(_: object) -> None:
    """The `send` of a request that only asks: nothing is ever sent through it."""


async def _answer(scope: Scope, send: Send, status: int, content: dict[str, Any]) -> None:
    allow = []
    if scope["method"] not in ("GET", "HEAD"):
        status, content, allow = 405, {"detail": "Method Not Allowed"}, [(b"allow", b"GET, HEAD")]
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *allow,
    ]
    token = quiet.set(True)
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
    finally:
        quiet.reset(token)
