"""What the log calls a request. ASGI words only."""

from __future__ import annotations

from typing import Any

__all__ = ["endpoint_name"]


def endpoint_name(scope: Any) -> str:
    """Returns what the log calls a request: method, path and, where the router has set it, the endpoint."""
    name = f"{scope.get('method', scope['type'])} {scope['path']}"
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return name
    return f"{name} ({getattr(endpoint, '__module__', '')}.{getattr(endpoint, '__qualname__', repr(endpoint))})"
