"""What is looked at once all routers are included, when the app starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from djfast_mount.crud.access.callers import warn_of_open
from djfast_mount.crud.access.rows_in_bodies import check_rules
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.routes.operation_ids import warn_of_operation_ids

__all__ = ["checked_lifespan"]


def checked_lifespan(
    resource_of: Callable[[], Resource], guarded: Callable[[], Callable[[Resource], bool]], own: Any
) -> Any:
    """Returns the lifespan of a router, which looks at its rules and at the app, and then runs the project's `own`.

    It logs a warning for what everybody may write, and for operation ids that are not unique.

    Args:
        resource_of: Returns the resource of the router, which may have been placed below another one by then.
        guarded: Returns what says of a resource whether it has dependencies of its own.

    Raises: ConfigurationError, when it is entered.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        resource = resource_of()
        check_rules(resource.root())
        warn_of_operation_ids(app)
        if resource.parent is None:
            warn_of_open(resource, guarded())
        # Without a lifespan of the project's own there is no state to merge.
        if own is None:
            yield
            return
        async with own(app) as state:
            yield state

    return lifespan
