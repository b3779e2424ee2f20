"""Annotated dependencies that stand where FastAPI takes no notice of them: an API would be open that looks closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_origin

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.params import Depends
from fastapi.routing import APIRoute

from djfast_mount.exceptions import ConfigurationError

__all__ = ["check_defaults"]


def check_defaults(api: FastAPI | APIRouter) -> None:
    """Raises ConfigurationError where a parameter has an annotated dependency as its default: ``user=CurrentUser``.

    FastAPI takes that for a query parameter, so nobody is asked who they are.
    """
    for call in _calls_of(api):
        for name, value in _defaults(call):
            if get_origin(value) is Annotated and any(isinstance(each, Depends) for each in value.__metadata__):
                raise ConfigurationError(
                    f"{call!r} has the annotated dependency {value!r} as the default of its parameter {name!r}, so "
                    f"FastAPI would not call it. Write it as the annotation, with a colon: `{name}: ...`."
                )


def _calls_of(api: FastAPI | APIRouter) -> Iterator[Any]:
    for route in api.routes:
        inner = getattr(route, "original_router", None)  # FastAPI keeps it for each included router.
        if isinstance(inner, APIRouter):
            yield from _calls_of(inner)
        elif isinstance(route, APIRoute):
            yield from _called(route.dependant)


def _called(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from _called(below)


def _defaults(call: Any) -> Iterator[tuple[str, Any]]:
    # Not by inspect.signature(), which would take a hundred times as long for each start.
    code, defaults = getattr(call, "__code__", None), getattr(call, "__defaults__", None) or ()
    if code is not None:
        yield from zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)
        yield from (getattr(call, "__kwdefaults__", None) or {}).items()
