"""The operation ids of a router's routes, which generators of clients make functions of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

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


_known: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
_checked: WeakSet[Any] = WeakSet()


def warn_of_operation_ids(api: Any, routes: Iterable[Any]) -> None:
    """Logs a warning when two routes of `api` have the same id by their routers, once for each app.

    Args:
        routes: Those of the router that starts. Each of the app's has its turn.
    """
    known, own = _known.setdefault(api, set()), {route.unique_id for route in routes if _is_documented(route)}
    # As they were included they have their paths, and may have other ids. Fifty routers take half a second to be looked
    # at so: only where one of their own ids comes twice.
    if api in _checked or known.isdisjoint(own):
        known |= own
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
