"""What is looked at once all routers are included, when the app starts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from djfast_mount.crud.access.callers import warn_of_open
from djfast_mount.crud.access.rows_in_bodies import check_rules
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.routes.operation_ids import warn_of_operation_ids

__all__ = ["checked_lifespan"]

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
        check_rules(resource.root())
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
