"""What is served under one prefix, and the scope of its calls. ASGI words only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from starlette.types import ASGIApp, Scope

from djfast_mount.routing.prefixes import NOTHING, child_scope

__all__ = ["Mounted", "Usual"]


class HasState(Protocol):
    """What has a lifespan."""

    @property
    def state(self) -> Mapping[str, Any]:
        """What requests are to find in their state, and the server does not put there."""


Usual = tuple[ASGIApp, Mapping[str, Any]]
"""The shortest way to an app, and what the scope has on it: for http calls whose Host has been seen, of a root without
middleware and telemetry."""


class Mounted(NamedTuple):
    """What is served under a prefix."""

    http: ASGIApp
    app: ASGIApp
    participant: HasState
    scope: Mapping[str, Any] = NOTHING
    """What the app is to find in the scope of its calls, besides what the server puts there."""
    usual: Usual | None = None

    def where_nothing_is_around(self, prefix: str) -> Mounted | None:
        """Returns this for calls that come to it at once. Their path is that of the server's scope."""
        if self.usual is None:
            return None
        http, scope = self.usual
        return self._replace(http=http, scope={**self.scope, "root_path": prefix, **scope})

    def child_of(self, scope: Scope, root_path: str, path: str) -> Scope:
        """Returns the scope of a call of the app, which is rooted at `root_path`; `path` is the path inside of it."""
        child = child_scope(scope, root_path, path, self.scope)
        if self.participant.state:
            self.put_state(child)
        return child

    def put_state(self, child: Scope) -> None:
        """Puts the state of the app into the scope of a call."""
        child["state"] = {**child.get("state", NOTHING), **self.participant.state}
