"""What is probed: the project as its server would run it."""

from __future__ import annotations

from typing import NamedTuple

from djfast_mount.routing.root_interface import Root

__all__ = ["Target"]


class Target(NamedTuple):
    """The mounted project, and how it is to be run."""

    root: Root
    workers: int
    """Processes of one server."""
    instances: int
    """Servers that share the databases."""
    calls_endpoints: bool
    """Whether endpoints may be called, and lifespans run."""
    production: bool
    """Whether to look at it as at a production server."""
