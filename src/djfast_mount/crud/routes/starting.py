"""What is looked at once all routers are included, when the app starts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI

from djfast_mount.apis.preparation_hooks import preparations
from djfast_mount.apis.tree import included_router
from djfast_mount.crud.access.callers import warn_of_open
from djfast_mount.crud.access.rows_in_bodies import check_once
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.routes.operation_ids import warn_of_operation_ids

__all__ = ["check_resources", "checked_lifespan"]

logger = logging.getLogger("djfast_mount.crud")


def checked_lifespan(
    resource_of: Callable[[], Resource],
    routes: Callable[[], Iterable[Any]],
    guarded: Callable[[], Callable[[Resource], bool]],
    own: Any,
) -> Any:
    """Returns the lifespan of a router, which looks at its rules and at the app, and then runs the project's `own`.

    It logs a warning for what everybody may write, and for operation ids that are not unique.

    Args:
        resource_of: Returns the resource of the router, which may have been placed below another one by then.
        routes: Returns the routes of the router.
        guarded: Returns what says of a resource whether it has dependencies of its own.

    Raises: ConfigurationError, when it is entered.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        resource = resource_of()
        check_once(resource.root())
        warn_of_operation_ids(app, routes())
        if resource.parent is None:
            warn_of_open(resource, guarded())
            _warn_of_orders(resource)
        # Without a lifespan of the project's own there is no state to merge.
        if own is None:
            yield
            return
        async with own(app) as state:
            yield state

    return lifespan


def check_resources(api: FastAPI | APIRouter) -> None:
    """Looks at the rules of the routers in `api`. Called by `mount()`. Raises: ConfigurationError."""
    for each in _resources_in(api):
        check_once(each.root())


# The lifespan looks as well: an app may be served without mount(), and a router be included after it.
preparations.append(check_resources)


def _resources_in(router: Any) -> Iterator[Resource]:
    if isinstance(resource := getattr(router, "resource", None), Resource):
        yield resource
        # What is below it has the same root.
        return
    for route in router.routes:
        if (inner := included_router(route)) is not None:
            yield from _resources_in(inner)


def _warn_of_orders(root: Resource) -> None:
    """Logs a warning for each list, of `root` and below it, that is in another order than its model says."""
    for each in root.walk():
        if each.ordering.left_out is not None:
            logger.warning(
                "%s: the ordering of %s has %s, which %s does not show, and so the list is ordered by %s. Show it, or "
                "name the order by order_by=. order_by=[] is that of the keys.",
                *(each.label, each.model.__name__, each.ordering.left_out, each.schema.__name__),
                ", ".join((*each.ordering.default, "its keys")),
            )
