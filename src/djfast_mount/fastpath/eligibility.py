"""Which routes a plan can serve, and what FastAPI's handler of such a route holds.

The facts are taken from the cells of the handler, not from the attributes of the route: FastAPI reads the attributes
once, when it makes the handler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

from fastapi.routing import APIRoute

from djfast_mount.fastpath.private_names import private

__all__ = ["Facts", "NotPlanned", "dependants_of", "facts_of"]


class NotPlanned(Exception):
    """A route that FastAPI serves itself. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One route, as its handler has it.

    Attributes:
        route: The original route.
        effective: What holds the handler's app: the route, or what FastAPI makes of it where it is included.
        app: The ASGI app of the route, around the handler.
        cells: What the handler holds, by FastAPI's names.
        kept: What has been worked out of these, by the name of who has done it.
    """

    route: APIRoute
    effective: Any
    app: Any
    cells: Mapping[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def dependant(self) -> Any:
        """The dependant of the endpoint."""
        return self.cells["dependant"]

    @property
    def name(self) -> str:
        """Method and path, for those who read the source or a table."""
        return f"{'|'.join(sorted(self.effective.methods or ()))} {self.effective.path_format}"


_OF_A_ROUTE = ("handle", "matches")


def facts_of(effective: Any, route: Any) -> Facts:
    """Returns the facts of a route. Raises: NotPlanned, with the reason, where FastAPI serves it itself.

    Args:
        effective: What its router has of it: the route, or what FastAPI makes of it where it is included.
        route: The route itself.
    """
    if type(route) is not APIRoute:
        raise NotPlanned(
            "no APIRoute" if not isinstance(route, APIRoute) else f"a route class of its own: {type(route).__name__}"
        )
    if any(name in vars(route) for name in _OF_A_ROUTE):
        raise NotPlanned("handle() or matches() replaced on the route")
    app = effective.app
    handler = _cells(app, private.serving, "limited, or its app is not FastAPI's own")["f"]
    facts = Facts(route, effective, app, _cells(handler, private.handling, "its handler is not FastAPI's own"))
    reason = next(_reasons(facts), None)
    if reason is not None:
        raise NotPlanned(reason)
    return facts


def _cells(function: Any, code: CodeType, otherwise: str) -> dict[str, Any]:
    # By the code object: a decorated or replaced handler does something else, whatever it is called.
    if type(function) is not FunctionType or function.__code__ is not code:
        raise NotPlanned(otherwise)
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True)}


def _reasons(facts: Facts) -> Iterator[str]:
    cells, dependant = facts.cells, facts.dependant
    if cells["is_body_form"]:
        yield "a form, or files"
    if cells["form_limits"]:
        yield "limits of forms"
    if cells["is_sse_stream"] or cells["is_json_stream"] or cells["stream_item_field"] is not None:
        yield "a stream"
    if private._is_gen_callable(dependant.call) or private._is_async_gen_callable(dependant.call):
        yield "the endpoint is a generator"
    for each in dependants_of(dependant):
        yield from _reasons_of(each)


def _reasons_of(dependant: Any) -> Iterator[str]:
    # A subclass may hold what a plan would pass over.
    if type(dependant) is not private.Dependant:
        yield "a dependant of another class"
    if dependant.call is None:
        yield "a dependant without a call"
    if dependant.websocket_param_name is not None:
        yield "a parameter for a websocket"
    if dependant.concurrency is not None:
        yield "a limit of concurrency"
    if any(private.field_annotation_is_sequence(field.field_info.annotation) for field in dependant.path_params):
        yield "a list in the path"
    if any(_has_form(field) for field in dependant.body_params):
        yield "a form, or files"


def _has_form(field: Any) -> bool:
    return bool(private._get_form_models(field))


def dependants_of(dependant: Any) -> Iterator[Any]:
    """Yields `dependant` and all below it, in the order in which FastAPI comes to them."""
    for below in dependant.dependencies:
        yield from dependants_of(below)
    yield dependant
