"""The lifespans of all that a root serves.

1. In this order: the thread pool, the root's own, each mounted app with the apps that are mounted in it,
   `websocket_app`, with telemetry Django's URLconf, the garbage collector, the readiness. They stop in reverse.
2. An app has one lifespan, at however many paths it is served.
3. An app that is mounted in another runs after that one, with a state of its own for its requests. Where the outer
   app's lifespan leads to it already, as ``FastAPI(lifespan=inner.router.lifespan_context)`` does, it is left to that.
4. What has been mounted when the server starts counts, not what `mount()` saw.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from django.conf import settings
from django.core import mail
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from djfast_mount.apis.tree import Found, apps_in, leads_to
from djfast_mount.conf import option
from djfast_mount.lifespan import garbage, urlconf
from djfast_mount.lifespan.participants import Lifespans, Participant
from djfast_mount.routing.inner_app import unwrapped

__all__ = ["ServedLifespans"]

logger = logging.getLogger("djfast_mount.lifespan")

_STATES = "djfast_mount.lifespan.states"


class Threads(Protocol):
    """What a djfast_mount.request_thread.request.RequestThreads has to do with lifespans."""

    def outside_requests(self, app: ASGIApp) -> ASGIApp: ...

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class ServedLifespans:
    """The lifespans of one root. Runs on the event loop.

    Args:
        apps: What is mounted, by prefix.
        threads: On whose threads they do their sync work.
        lifespan: The root's own.
        websocket_app: The app for websockets under no prefix.
        readiness: ASGI: what starts last.
    """

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        *,
        threads: Threads,
        lifespan: Lifespan[Any] | None,
        websocket_app: ASGIApp | None,
        readiness: ASGIApp,
    ) -> None:
        self._apps = apps
        self._threads = threads
        self._lifespan = lifespan
        self._readiness = readiness
        self._states: dict[int, Mapping[str, Any]] = {}
        # By identity: an app under two prefixes has one lifespan.
        self._live: dict[int, Participant] = {}
        for prefix, app in apps.items():
            self._live.setdefault(id(app), self._participant(f"the app at {prefix or '/'!r}", app))
        if websocket_app is not None:
            self._live.setdefault(id(websocket_app), self._participant("websocket_app", websocket_app))

    @property
    def scope(self) -> dict[str, Any]:
        """What is to be in the scope of every call, for the apps that are mounted in others."""
        return {_STATES: self._states}

    def of(self, app: ASGIApp) -> Participant:
        """Returns the lifespan of a mounted app, or of `websocket_app`."""
        return self._live[id(app)]

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: serves one lifespan of the server."""
        self._states.clear()
        await Lifespans(self._participants()).run(scope, receive, send)

    def _participant(self, name: str, app: ASGIApp) -> Participant:
        required = isinstance(unwrapped(app), Starlette)
        return Participant(name, self._threads.outside_requests(app), required=required)

    def _participants(self) -> Iterator[Participant]:
        yield Participant("the thread pool", self._threads.lifespan)
        if self._lifespan is not None:
            root = self._threads.outside_requests(Router(lifespan=self._lifespan))
            yield Participant("the root's lifespan", root, shared=True)
        inner = self._inner()
        for key, participant in self._live.items():
            yield participant
            yield from inner.pop(key, ())
        if option("telemetry") and hasattr(settings, "ROOT_URLCONF"):
            yield Participant("Django's URLconf", self._threads.outside_requests(urlconf.lifespan), required=True)
        # In tests a collection costs more than it saves. Django's test runners and pytest-django set `mail.outbox`.
        if option("tune_gc") and not hasattr(mail, "outbox"):
            yield Participant("the garbage collector", garbage.lifespan)
        # Readiness comes last, since everything else must have started. It is after the collector's freeze, because it
        # makes almost no objects.
        yield Participant("the readiness", self._readiness)

    def _inner(self) -> dict[int, list[Participant]]:
        """The apps that are mounted in others and have no lifespan yet, by the id of the mounted app above them."""
        seen = set(self._live)
        inner: dict[int, list[Participant]] = {}
        for prefix, app in self._apps.items():
            for found in apps_in(app, prefix):
                if id(found.app) in seen or not found.above:
                    continue
                seen.add(id(found.app))
                if not _runs_already(found):
                    inner.setdefault(id(app), []).append(self._inner_participant(found))
        return inner

    def _inner_participant(self, found: Found) -> Participant:
        app, key = found.app, id(found.app)
        if all(each.cls is not _OwnState for each in app.user_middleware):
            app.user_middleware.insert(0, Middleware(_OwnState, key=key))
            app.middleware_stack = None  # Where it was built before, as by a first lifespan.
        participant = Participant(f"the app at {found.path!r}", self._threads.outside_requests(app), required=True)
        participant.started = lambda: self._states.update({key: participant.state})
        return participant


def _runs_already(found: Found) -> bool:
    """Whether an app above leads to the lifespan of `found` in its own, as far as can be seen."""
    context: Any = found.app.router.lifespan_context
    targets: list[object] = [found.app, found.app.router]
    while context is not None:
        targets.append(context)
        context = getattr(context, "__wrapped__", None)
    above = next((app for app in found.above if leads_to(app.router.lifespan_context, targets)), None)
    if above is not None:
        logger.info("The lifespan of the app at %r is left to that of %r, which leads to it.", found.path, above)
    return above is not None


class _OwnState:
    """ASGI, outermost in an app that is mounted in another: adds what its lifespan has put into its state."""

    def __init__(self, app: ASGIApp, key: int) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and (state := scope.get(_STATES, {}).get(self._key)):
            scope["state"] = {**scope.get("state", {}), **state}
        await self._app(scope, receive, send)
