"""The operation ids of a router's routes, which generators of clients make functions of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from fastapi.datastructures import Default, DefaultPlaceholder
from fastapi.routing import iter_route_contexts

__all__ = ["named", "warn_of_operation_ids"]

logger = logging.getLogger("djfast_mount.crud")


class _Named:
    """Gives a route the id that its router has for it."""

    def __init__(self, operation_id: str) -> None:
        self._operation_id = operation_id

    def __call__(self, route: Any) -> str:
        return self._operation_id


def named(operation_id: str) -> Callable[[Any], str]:
    """Returns what FastAPI takes for ``generate_unique_id_function``. That of a project goes first."""
    # Not `operation_id=`, which would go before what a project says: two versions of one router need two ids.
    found: Callable[[Any], str] = Default(_Named(operation_id))
    return found


# An app starts once, and each of its routers would look at all of its routes.
_checked: WeakSet[Any] = WeakSet()


def warn_of_operation_ids(api: Any) -> None:
    """Logs a warning when two routes of `api` have the same id by their routers, once for each app."""
    if api in _checked:
        return
    _checked.add(api)
    seen: dict[str, str] = {}
    for route in filter(_is_documented, iter_route_contexts(getattr(api, "routes", ()))):
        other = seen.setdefault(route.unique_id, route.path or "")
        if other != route.path:
            # A warning, not an error: requests are answered, and FastAPI makes the document all the same.
            logger.warning(
                "%r and %r have the operation id %r, which OpenAPI has once: a generated client has one function for "
                "both. Give one of the routers another name=. If one router is included twice, give FastAPI's "
                "include_router() a generate_unique_id_function=, or include_in_schema=False.",
                *(other, route.path, route.unique_id),
            )
            return


def _is_documented(route: Any) -> bool:
    """Whether `route` is one of a `ModelRouter` that stands in OpenAPI with the id that it has from there."""
    given = getattr(route, "generate_unique_id_function", None)
    return isinstance(given, DefaultPlaceholder) and isinstance(given.value, _Named) and route.include_in_schema
