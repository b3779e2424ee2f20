"""Annotated dependencies that stand where FastAPI takes no notice of them: an API would be open that looks closed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, get_origin

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from fastapi.params import Depends
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute

from djfast_mount.apis.tree import included_router
from djfast_mount.exceptions import ConfigurationError

__all__ = ["check_defaults"]


def check_defaults(api: FastAPI | APIRouter) -> None:
    """Raises ConfigurationError where a parameter has an annotated dependency as its default: ``user=CurrentUser``.

    FastAPI takes that for a parameter that the client sends, so nobody is asked who they are.
    """
    for dependant in _dependants_of(api):
        # As FastAPI has read them: decorated functions, classes and objects that are called have no defaults of their
        # own.
        for field in (*dependant.query_params, *dependant.body_params):
            value = field.field_info.default
            if get_origin(value) is Annotated and any(isinstance(each, Depends) for each in value.__metadata__):
                raise ConfigurationError(
                    f"{dependant.call!r} has the annotated dependency {value!r} as the default of its parameter "
                    f"{field.name!r}, so FastAPI would not call it. Write it as the annotation, with a colon: "
                    f"`{field.name}: ...`."
                )


def _dependants_of(api: FastAPI | APIRouter) -> Iterator[Dependant]:
    for route in api.routes:
        inner, context = included_router(route), getattr(route, "include_context", None)
        if isinstance(route, APIRoute):
            yield from _with_those_below(route.dependant)
        elif isinstance(inner, APIRouter) and context is not None:
            yield from _dependants_of(inner)
            for depends in context.dependencies:
                yield from _with_those_below(get_parameterless_sub_dependant(depends=depends, path=""))
        elif not isinstance(route, Route | WebSocketRoute | Mount | Host):
            # FastAPI has renamed what is asked for above. This way it makes the routes a second time.
            yield from chain.from_iterable(map(_with_those_below, _effective(route)))


def _effective(route: BaseRoute) -> Iterator[Dependant]:
    for context in iter_route_contexts([route]):
        if isinstance(context.original_route, APIRoute):
            yield context.dependant


def _with_those_below(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for below in dependant.dependencies:
        yield from _with_those_below(below)
