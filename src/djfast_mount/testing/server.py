"""What stands between a test client and its app in a server's place: scopes, the lifespan, who is still connected."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import httpx
from django.conf import settings
from starlette.applications import Starlette
from starlette.types import ASGIApp, Scope

from djfast_mount.apis.loading import load_app
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.lifespan.participants import Participant, Phase
from djfast_mount.routing.inner_app import unwrapped
from djfast_mount.testing.http_exchange import Draw, Exchange
from djfast_mount.testing.requests import TestRequest, context_of
from djfast_mount.testing.scopes import ASGI, http_scope, of_test, websocket_scope
from djfast_mount.testing.websocket_messages import Conversation

__all__ = ["Server", "default_application", "load_application"]


def default_application() -> ASGIApp:
    """Returns the app that ``settings.ASGI_APPLICATION`` names.

    Raises: ConfigurationError, when it names none.
    """
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        raise ConfigurationError(
            "settings.ASGI_APPLICATION is not set, so there is no app to test. Name it there, as in "
            '"mysite.asgi.app", or give it to the client or the test class.'
        )
    return load_application(path)


def load_application(app: ASGIApp | str | None) -> ASGIApp:
    """Returns the ASGI app that `app` is or, as ``"module:attribute"`` or ``"module.attribute"``, names.

    Raises: ConfigurationError, when it is none.
    """
    if app is None:
        return default_application()
    if isinstance(app, str):
        # ASGI_APPLICATION has a dot by Django's habit, a server's argument a colon.
        app = app if ":" in app else ":".join(app.rsplit(".", 1))
        try:
            import_module(app.partition(":")[0])  # Not by load_app(): the import may call mount().
        except ImportError as error:
            raise ConfigurationError(
                f"{app!r} for tests cannot be imported: {error!r}. Check the spelling, and what the module imports."
            ) from error
    return load_app(app, "tests")


class Server:
    """Serves one app to one client. Lives on the client's event loop.

    Args:
        root_path: The outer prefix, as if a proxy had taken it off.
        raise_server_exceptions: Whether what the app raises, a Django view included, is raised in the test.
        enforce_csrf_checks: Whether CSRF tokens are checked.
    """

    def __init__(
        self,
        app: ASGIApp | str | None,
        *,
        root_path: str = "",
        raise_server_exceptions: bool = True,
        enforce_csrf_checks: bool = False,
    ) -> None:
        self.app = load_application(app)
        self.root_path = root_path
        self.raise_server_exceptions = raise_server_exceptions
        self.enforce_csrf_checks = enforce_csrf_checks
        self._state: dict[str, Any] = {}
        self._participant: Participant | None = None
        self._exchanges: set[Exchange] = set()
        self._conversations: set[Conversation] = set()

    async def start(self, thread: threading.Thread | None) -> None:
        """Runs the startup of the app's lifespan, if it has one. `thread` does the test's sync work.

        Raises: RuntimeError, when the startup fails, or the lifespan runs already.
        """
        if self._participant is not None:
            raise RuntimeError("The test client is entered already: its app's lifespan runs once at a time.")
        # The same state machine as in production: a test is to see a lifespan fail as a server would.
        participant = Participant("the tested app", self.app, required=isinstance(unwrapped(self.app), Starlette))
        state: dict[str, Any] = {}
        scope: Scope = {"type": "lifespan", "asgi": ASGI, "state": state}
        # Its own context, since what a lifespan sets must not be seen by the test.
        context = context_of(TestRequest("The lifespan", thread))
        phase = await asyncio.create_task(participant.start(scope), context=context)
        if phase is Phase.FAILED:
            raise RuntimeError(f"The app's startup failed: {participant.message}")
        self._participant, self._state = participant, state

    async def stop(self) -> None:
        """Ends what is still open, then runs the shutdown of the lifespan.

        Raises: RuntimeError, when the shutdown fails.
        """
        for exchange in list(self._exchanges):
            await exchange.leave()
        for conversation in list(self._conversations):
            await conversation.end()
        self._exchanges.clear()
        self._conversations.clear()
        participant, self._participant, self._state = self._participant, None, {}
        if participant is not None and (message := await participant.stop()):
            raise RuntimeError(f"The app's shutdown failed: {message}")

    async def answer(self, request: httpx.Request, body: bytes | Draw, thread: threading.Thread | None) -> Exchange:
        """Returns the exchange whose response has begun. `thread` does the test's sync work."""
        test_request = TestRequest(f"{request.method} {self.root_path}{request.url.path}", thread)
        scope = http_scope(request, self.root_path, **self._beside(test_request))
        exchange = Exchange(self.app, scope, test_request, body)
        await exchange.begin()
        if not exchange.over:
            self._exchanges.add(exchange)
        self.check(exchange)
        return exchange

    async def connect(self, request: httpx.Request, thread: threading.Thread | None) -> Conversation:
        """Returns the websocket that the app has accepted; raises as `Conversation.open()` does."""
        test_request = TestRequest(f"websocket {self.root_path}{request.url.path}", thread)
        scope = websocket_scope(request, self.root_path, **self._beside(test_request))
        conversation = Conversation(self.app, scope, test_request, raises=self.raise_server_exceptions)
        self._conversations.add(conversation)
        try:
            await conversation.open()
        except BaseException:
            self._conversations.discard(conversation)
            raise
        return conversation

    def check(self, exchange: Exchange) -> None:
        """Raises what went wrong, once the app has ended. Runs on any thread then."""
        if exchange.over:
            self._exchanges.discard(exchange)
            exchange.check(raise_server_exceptions=self.raise_server_exceptions)

    async def hang_up(self, conversation: Conversation, code: int, reason: str) -> None:
        """Closes a websocket; raises what its app raised."""
        self._conversations.discard(conversation)
        await conversation.close(code, reason)

    def _beside(self, request: TestRequest) -> Mapping[str, Any]:
        # A shallow copy for each request (ASGI, "Lifespan State").
        return {**of_test(request, enforce_csrf_checks=self.enforce_csrf_checks), "state": self._state.copy()}
