"""Requests to the project, in this process and without a socket: what a stranger is answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from starlette.routing import Mount
from starlette.types import Message, Scope

from djfast_mount.apis.tree import fastapis_in
from djfast_mount.database.stray_places import places
from djfast_mount.doctor.target import Target
from djfast_mount.route_table import route_table
from djfast_mount.routing.placement import outer_of
from djfast_mount.routing.root_interface import Root

__all__ = ["probe_requests"]

# `.invalid` is reserved (RFC 2606): no project can have it in ALLOWED_HOSTS by chance.
_STRANGER = "stranger.invalid"
# Seconds that an endpoint has to answer; a stream has no end.
_PATIENCE = 5.0


class Answer(NamedTuple):
    status: int
    body: bytes


def probe_requests(target: Target) -> Iterator[CheckMessage]:
    """W104 to W106, W131 to W133, E131: asks for readiness, as a stranger, for docs and, where it may, for all else."""
    # A loop of its own, closed with what hangs there: the command must end.
    with asyncio.Runner() as runner:
        yield from runner.run(_messages(target))


async def _messages(target: Target) -> list[CheckMessage]:
    root = target.root
    logging.disable(logging.CRITICAL)  # Errors of these requests become findings, so they are not logged too.
    try:
        found = [*await _readiness(root), *await _hosts(root)]
        # With DEBUG the docs are open on purpose.
        if not settings.DEBUG:
            found += await _docs(root)
    finally:
        logging.disable(logging.NOTSET)
    if target.calls_endpoints:
        found += await _endpoints(root)
    return found


async def _readiness(root: Root) -> list[CheckMessage]:
    path = next((path for path, app in root.health.paths.items() if app == root.health.ready), None)
    if path is None:
        return []
    migrations = json.loads((await _get(root, path)).body).get("migrations", {})
    return [
        checks.Warning(
            f"The database {alias!r} has migrations that are not applied: {said}.",
            hint="Run `manage.py migrate`. The server answers 503 for its readiness until then.",
            id="djfast_mount.W104",
        )
        for alias, said in migrations.items()
        if said.endswith("unapplied")
    ]


async def _hosts(root: Root) -> list[CheckMessage]:
    """Asks each part with a Host that nobody allows, and with one that Django allows."""
    found: list[CheckMessage] = []
    for prefix in _prefixes(root):
        path = f"{prefix}/{_STRANGER}"
        if "*" not in settings.ALLOWED_HOSTS and (await _get(root, path, _STRANGER)).status != 400:
            found.append(
                checks.Warning(
                    f"{prefix or '/'} answers a Host that settings.ALLOWED_HOSTS does not name.",
                    hint="Leave out host_check=False, or check the Host before this server.",
                    id="djfast_mount.W131",
                )
            )
        refused = [host for host in _hosts_to_ask() if (await _get(root, path, host)).status == 400]
        if refused:
            found.append(
                checks.Warning(
                    f"{prefix or '/'} refuses the Host {refused[0]!r}, which settings.ALLOWED_HOSTS names.",
                    hint="Take TrustedHostMiddleware out of the API: mount() checks the Host for both halves.",
                    id="djfast_mount.W132",
                )
            )
    return found


async def _docs(root: Root) -> list[CheckMessage]:
    shown = [path for path in _docs_paths(root) if (await _get(root, path)).status == 200]
    if not shown:
        return []
    return [
        checks.Warning(
            f"{' and '.join(shown)} can be read by everybody.",
            hint="Leave out docs_access: without DEBUG they are then for staff alone. None removes them.",
            id="djfast_mount.W133",
        )
    ]


async def _endpoints(root: Root) -> list[CheckMessage]:
    paths = dict.fromkeys(
        route.path for route in route_table(root) if "GET" in route.methods and not set(route.path) & set("{<(^$")
    )
    async with _lifespan(root) as failure:
        if failure:
            hint = "Mend it: the server does not start."
            return [checks.Error(f"A lifespan does not start. {failure.strip()}", hint=hint, id="djfast_mount.E131")]
        failed = [path for path in paths if (await _get(root, path)).status == 500]
    return [
        *(
            checks.Warning(
                f"{path} answers 500.",
                hint="Call it in a test, or with the server running: the log has the error.",
                id="djfast_mount.W106",
            )
            for path in failed
        ),
        *(
            checks.Warning(
                f"{place} uses the ORM off the request thread: no signal closes its connection.",
                hint="Call it with sync_to_async(), or from a plain `def` endpoint or dependency.",
                id="djfast_mount.W105",
            )
            for place in places()
        ),
    ]


def _prefixes(root: Root) -> list[str]:
    return [route.path for route in root.routes if isinstance(route, Mount)]


def _docs_paths(root: Root) -> Iterator[str]:
    for route in root.routes:
        for found in fastapis_in(route.app, route.path) if isinstance(route, Mount) else ():
            paths = (found.app.openapi_url, found.app.docs_url, found.app.redoc_url)
            yield from (found.path + path for path in paths if path)


def _hosts_to_ask() -> list[str]:
    """One host for each entry of ALLOWED_HOSTS that names one."""
    return [host.lstrip(".") for host in settings.ALLOWED_HOSTS or ["localhost"] if host != "*"]


async def _get(root: Root, path: str, host: str | None = None) -> Answer:
    """What a GET is answered; status 500 where the app raises, 0 where it does not answer in time."""
    status, body = 0, b""
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    try:
        async with asyncio.timeout(_PATIENCE):
            await root(_scope(root, path, host or _hosts_to_ask_first()), receive, send)
    except TimeoutError:
        return Answer(status, body)
    except Exception:
        return Answer(500, body)  # The app has logged it.
    return Answer(status, body)


def _hosts_to_ask_first() -> str:
    return next(iter(_hosts_to_ask()), "localhost")


def _scope(root: Root, path: str, host: str) -> Scope:
    outer = outer_of(settings.FORCE_SCRIPT_NAME or "", root.django_prefix)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": outer + path,
        "raw_path": (outer + path).encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", host.encode()), (b"user-agent", b"mount_doctor")],
        "client": ("127.0.0.1", 0),
        "server": (host, 443),
        "state": {},
    }


@asynccontextmanager
async def _lifespan(root: Root) -> Any:
    """Runs the lifespans around the block. Yields what one said that failed to start, or the empty string."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    incoming.put_nowait({"type": "lifespan.startup"})
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(root(scope, incoming.get, outgoing.put))
    said = await outgoing.get()
    failed = said["type"] == "lifespan.startup.failed"
    try:
        yield (said.get("message") or "It gave no message.") if failed else ""
    finally:
        if not failed:
            incoming.put_nowait({"type": "lifespan.shutdown"})
        with suppress(Exception):  # The lifespan has reported its own error.
            await task
