"""The root, as those see it who look at its routes and do not serve: commands, checks, the route table."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.threads.pool import Pool

__all__ = ["HealthPaths", "Root", "roots"]


class HealthPaths(Protocol):
    """Where the root answers for its health."""

    @property
    def paths(self) -> Mapping[str, ASGIApp]: ...

    @property
    def pool_size(self) -> int: ...

    @property
    def draining(self) -> bool: ...

    async def ready(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class StaticPaths(Protocol):
    """What answers for static files."""

    def paths(self) -> Iterator[str]: ...


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
    static_files: StaticPaths | None
    """What answers for static files before the rest; None: nothing does."""
    health: HealthPaths
    own_paths: Mapping[str, ASGIApp]
    """What the root answers itself, by its path inside of the outer prefix: health, and what telemetry shows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Weakly: a test makes hundreds, and none may live on for the page that looks at them.
        roots.add(self)

    @property
    def pool(self) -> Pool:
        """Whose threads do the sync work of both halves."""
        raise NotImplementedError


roots: weakref.WeakSet[Root] = weakref.WeakSet()
"""Those of this process, for who looks on. Start-up runs on one thread."""
