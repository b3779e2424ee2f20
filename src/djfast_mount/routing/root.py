"""The root, as those see it who look at its routes and do not serve: commands, checks, the route table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HealthPaths", "Root"]


class HealthPaths(Protocol):
    """Where the root answers for its health."""

    @property
    def paths(self) -> Mapping[str, ASGIApp]: ...

    @property
    def pool_size(self) -> int: ...

    async def ready(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Root(Starlette):
    """What `mount()` returns. It is always a djfast_mount.application.MountedApplication."""

    serves_django: bool
    """Whether Django answers what belongs to no app."""
    django_prefix: str
    """The prefix of Django's half; empty: none."""
    falls_through: bool
    """Whether Django gets the paths under a prefix that no route of its app matches."""
    elsewhere: ASGIApp
    """What answers where no prefix matches."""
    health: HealthPaths
    own_paths: Mapping[str, ASGIApp]
    """What the root answers itself, by its path inside of the outer prefix: health, and what telemetry shows."""
