"""Routers that are included together: for a project that declares them in many modules."""

from __future__ import annotations

from typing import TypeVar

from fastapi import APIRouter

from djfast_mount.crud.router import ModelRouter
from djfast_mount.exceptions import ConfigurationError

__all__ = ["Registry"]

R = TypeVar("R", bound=ModelRouter)


class Registry:
    """Routers by prefix, in the order in which they were registered.

    registry = Registry()
    companies = registry.register(ModelRouter(CompanySchema, prefix="/companies"))
    registry.include_in(api)
    """

    def __init__(self) -> None:
        self._routers: dict[str, ModelRouter] = {}

    def register(self, router: R) -> R:
        """Returns `router`, which is included from now on. Raises: ConfigurationError, for a prefix that is taken."""
        # FastAPI would serve the first and show both in OpenAPI.
        known = self._routers.get(router.prefix)
        if known is not None:
            raise ConfigurationError(
                f"Two routers are registered at {router.prefix!r}: of {known.resource.model.__name__} and of "
                f"{router.resource.model.__name__}. Give one of them another prefix."
            )
        self._routers[router.prefix] = router
        return router

    def include_in(self, api: APIRouter, prefix: str = "") -> None:
        """Includes every router in `api`: a router, or ``app.router`` of a FastAPI."""
        for router in self._routers.values():
            api.include_router(router, prefix=prefix)
