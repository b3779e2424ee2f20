"""URLs of both frameworks."""

from __future__ import annotations

from djfast_mount.route_table import Route, route_table

__all__ = ["Route", "route_table"]
