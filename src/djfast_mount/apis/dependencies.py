"""Dependencies of all routes of a FastAPI or of an APIRouter, those of included routers too."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from fastapi.params import Depends
from fastapi.routing import APIRoute, iter_route_contexts

__all__ = ["add_dependency", "called_by", "calls_in"]


def add_dependency(api: FastAPI | APIRouter, depends: Depends) -> None:
    """Has every endpoint of `api` depend on `depends`, before all its other dependencies.

    Plain Starlette routes have no dependencies and are left alone. A second call changes nothing.
    """
    # The router's own list is for routes that are added later. FastAPI copies it into each new route.
    router = api.router if isinstance(api, FastAPI) else api
    for dependencies in (router.dependencies, *_inherited(api)):
        if depends not in dependencies:
            dependencies.insert(0, depends)
    for context in iter_route_contexts(api.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            _depend(context.dependant, depends, context.path_format or "")


def _inherited(api: FastAPI | APIRouter) -> Iterator[list[Depends]]:
    """What the routers included in `api` have been given by it, for each inclusion."""
    for route in api.routes:
        # FastAPI hands an included router the dependencies of that moment. Those that come later have to be put there.
        context = getattr(route, "include_context", None)
        if context is not None:
            yield context.dependencies


def _depend(dependant: Dependant, depends: Depends, path: str) -> None:
    if all(below.call is not depends.dependency for below in dependant.dependencies):
        dependant.dependencies.insert(0, get_parameterless_sub_dependant(depends=depends, path=path))


def calls_in(api: FastAPI) -> Iterator[object]:
    """Yields what every dependency of every route of `api` calls."""
    for context in iter_route_contexts(api.routes):
        dependant = getattr(context, "dependant", None)
        if dependant is not None:
            yield from called_by(dependant)


def called_by(dependant: Dependant) -> Iterator[object]:
    """Yields what the dependencies below `dependant` call, at every depth."""
    for below in dependant.dependencies:
        yield below.call
        yield from called_by(below)
