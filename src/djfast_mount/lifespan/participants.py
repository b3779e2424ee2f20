"""One lifespan in, many out. ASGI words only.

1. The whole lifespan protocol of every app is driven, in a task of its own: an app may do more in its ``__call__`` than
   its lifespan context shows (FastAPI's telemetry does).
2. Apps start in their order and stop in reverse. When one fails to start, those that are up are stopped, and then its
   message is sent on, so that the server ends (uvicorn: with status 3, and it does not wait for what is still to do).
3. An app that raises or returns before it answered ``lifespan.startup`` does not support lifespan. That is no fault,
   unless it is of a class that does: then a middleware has met what is no request, and the start fails with its error.
   One that is cancelled has failed.
4. Every app has a state of its own, and sees that of the root's lifespan beneath it.
5. Every message of the server is answered, whatever the apps do. After a failure the app's own error is raised, as
   Starlette does: its TestClient waits for that.

Where an app stands:

    state        on startup.complete  on startup.failed  on its task's end
    STARTING     UP                   FAILED             UNSUPPORTED; required or cancelled: FAILED
    UP           -                    -                  ENDED
    STOPPING     -                    -                  ENDED
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Lifespans", "Participant"]

logger = logging.getLogger("djfast_mount.lifespan")


class Phase(enum.Enum):
    """Where an app stands in the protocol."""

    STARTING = enum.auto()
    UP = enum.auto()
    FAILED = enum.auto()
    UNSUPPORTED = enum.auto()
    STOPPING = enum.auto()
    ENDED = enum.auto()


class Participant:
    """One app's lifespan: a task in which the app runs, and the messages to and from it.

    Args:
        name: What the log and the failure message call it, such as its prefix.
        app: The ASGI app.
        shared: Whether its state is the root's own, seen by every other app.
        required: Whether the app is known to support lifespan.

    Once `Lifespans` has started the app, `state` is what its requests are to find in theirs and the server does not put
    there: what the app added to the root's state, or changed in it.
    """

    started: Callable[[], None] | None = None
    """Called once the app is up and `state` is known."""

    def __init__(self, name: str, app: ASGIApp, *, shared: bool = False, required: bool = False) -> None:
        self.name = name
        self.app = app
        self.shared = shared
        self.required = required
        self.state: dict[str, Any] = {}
        self.message = ""
        self.error: Exception | None = None  # with which the app failed to start or to stop

    async def start(self, scope: Scope) -> Phase:
        """Sends ``lifespan.startup`` and waits for the answer. Returns UP, FAILED or UNSUPPORTED."""
        self.phase = Phase.STARTING
        self.message = ""
        self.error = None
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        # A task for each app: AnyIO's cancel scopes and context variables of a lifespan must be left in the task that
        # entered them.
        self._task = asyncio.create_task(self._run(scope), name=f"lifespan of {self.name}")
        try:
            await self._answered.wait()
        except asyncio.CancelledError:
            self._task.cancel()
            await self._end_of_task()
            raise
        if self.phase is Phase.FAILED:
            await self._end_of_task()
        return self.phase

    async def stop(self) -> str:
        """Sends ``lifespan.shutdown`` and waits for the app's end. Returns the app's failure message, or ``""``."""
        if self.phase is not Phase.UP or self._task.done():  # Cancelled with all others, at the end of the loop.
            return self.message
        self.phase = Phase.STOPPING
        self._answered.clear()
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            await self._answered.wait()
        finally:
            await self._end_of_task()
        return self.message

    async def _run(self, scope: Scope) -> None:
        try:
            await self.app(scope, self._inbox.get, self._send)
        except asyncio.CancelledError:
            if self.phase is Phase.STARTING:
                self.phase = Phase.FAILED
                self.message = "startup was cancelled"
            raise
        except Exception as error:
            self._end(error)
        else:
            self._end(None)
        finally:
            self._answered.set()

    def _end(self, error: Exception | None) -> None:
        if self.phase in (Phase.FAILED, Phase.STOPPING):
            self.error = error
        if self.phase is Phase.STARTING:
            self._end_of_start(error)
        elif self.phase is not Phase.FAILED:
            if error is not None and not self.message:
                self.message = repr(error)
            if error is not None and self.phase is Phase.UP:
                logger.error("The lifespan of %s ended before shutdown: %r", self.name, error, exc_info=error)
            self.phase = Phase.ENDED

    def _end_of_start(self, error: Exception | None) -> None:
        # A class that is known to support lifespan and did not answer has met a middleware that reads `scope["path"]`:
        # without this the app would run without its lifespan, and one line at INFO would be all that says so.
        if self.required:
            self.phase = Phase.FAILED
            self.error = error
            met = repr(error) if error else "it returned"
            self.message = (
                f"{met}, before it answered lifespan.startup. Have its middleware pass on a scope of another type than "
                "'http' and 'websocket'."
            )
            return
        self.phase = Phase.UNSUPPORTED
        # An app that knows of lifespan and refuses it says so, as the ASGI specification asks. Any other error may be a
        # fault of an app that would need its lifespan.
        level = logging.WARNING if error is not None and "lifespan" not in str(error) else logging.INFO
        logger.log(level, "%s does not support lifespan%s.", self.name, f": {error!r}" if error else "")

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete" and self.phase is Phase.STARTING:
            self.phase = Phase.UP
        elif kind == "lifespan.startup.failed" and self.phase is Phase.STARTING:
            self.phase = Phase.FAILED
            self.message = message.get("message") or "startup failed without a message"
        elif kind == "lifespan.shutdown.failed" and self.phase is Phase.STOPPING:
            self.message = message.get("message") or "shutdown failed without a message"
        elif kind == "lifespan.shutdown.failed" and self.phase is Phase.UP:
            return  # Starlette tells so of a lifespan that is cancelled: the end of the loop, after a second Ctrl-C.
        elif kind != "lifespan.shutdown.complete" or self.phase is not Phase.STOPPING:
            raise RuntimeError(f"{self.name} sent {kind!r} out of turn; its lifespan is {self.phase.name}.")
        self._answered.set()

    async def _end_of_task(self) -> None:
        # An app that has answered has at most its own clean-up left. Let it end; it must not outlive us.
        if not self._task.done():
            done, _ = await asyncio.wait([self._task], timeout=1)
            if not done:
                self._task.cancel()
                await asyncio.wait([self._task], timeout=1)


class Lifespans:
    """ASGI lifespan for a group of apps. Runs on the event loop; one server drives it at a time.

    Args:
        participants: In the order in which they start. Those with `shared` state come first.
    """

    def __init__(self, participants: Iterable[Participant]) -> None:
        self.participants = list(participants)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one lifespan of the server, from its startup message to its shutdown message."""
        await receive()
        up: list[Participant] = []
        try:
            failure = await self._start(scope, up)
            if not failure:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        finally:
            failures = await self._stop(up)
        if not failure and not failures:
            await send({"type": "lifespan.shutdown.complete"})
            return
        message = "\n".join([*filter(None, [failure]), *failures])
        await send({"type": f"lifespan.{'startup' if failure else 'shutdown'}.failed", "message": message})
        # After the answer to the server, which has written the message by then.
        raise self._error() or RuntimeError(message)

    def _error(self) -> Exception | None:
        """What the first app that failed has raised."""
        failed = [participant for participant in self.participants if participant.error is not None]
        failed.sort(key=lambda participant: participant.phase is not Phase.FAILED)
        return failed[0].error if failed else None

    async def _start(self, scope: Scope, up: list[Participant]) -> str:
        root_state: dict[str, Any] = scope.get("state", {})
        for participant in self.participants:
            # A copy for each: two apps may call a pool by the same name.
            state = root_state if participant.shared else dict(root_state)
            phase = await participant.start({**scope, "state": state})
            if phase is Phase.FAILED:
                return f"Startup of {participant.name} failed: {participant.message}"
            if phase is Phase.UP:
                up.append(participant)
            own = {key: value for key, value in state.items() if key not in root_state or root_state[key] is not value}
            # A server that has no state in its scopes does not hand on the root's.
            participant.state = own if "state" in scope else state
            if participant.started is not None:
                participant.started()
            self._report_collisions(participant, root_state.keys() & own.keys())
        return ""

    @staticmethod
    def _report_collisions(participant: Participant, names: set[str]) -> None:
        taken = sorted(names)
        if taken:
            logger.warning(
                "The lifespan of %s sets state that the root's lifespan has set already: %s. "
                "It sees its own values, the others the root's. Rename one of them.",
                participant.name,
                ", ".join(map(repr, taken)),
            )

    @staticmethod
    async def _stop(up: list[Participant]) -> list[str]:
        failures = []
        while up:
            # In reverse: an app that started later may use what one before it has opened.
            participant = up.pop()
            message = await participant.stop()
            participant.state = {}  # In tests an app goes on to be called without a lifespan.
            if message:
                failures.append(f"Shutdown of {participant.name} failed: {message}")
        return failures
