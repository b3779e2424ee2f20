"""What is said of the endpoint of a request: what the log calls it, and the methods of its path. ASGI words only."""

from __future__ import annotations

from typing import Any

__all__ = ["METHODS", "endpoint_name"]

METHODS = "djfast_mount.methods"
"""The key in a scope of the methods of all routes that have its path, where those are known and none has its method."""


def endpoint_name(scope: Any) -> str:
    """Returns what the log calls a request: method, path and, where the router has set it, the endpoint."""
    name = f"{scope.get('method', scope['type'])} {scope['path']}"
    # Set by the router: a request that was refused before has none.
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return name
    return f"{name} ({getattr(endpoint, '__module__', '')}.{getattr(endpoint, '__qualname__', repr(endpoint))})"
