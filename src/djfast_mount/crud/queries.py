"""The query parameters of a list as Pydantic models, and what a request sent of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field, create_model

from djfast_mount.crud.resource import Resource
from djfast_mount.spelling import did_you_mean

__all__ = ["RESERVED", "ListQuery", "check_parameters", "choice_field", "list_fields", "order_field"]

RESERVED = frozenset({"limit", "offset", "page", "cursor", "total", "search", "order_by", "group_by"})
"""Parameters with a meaning of their own."""

Fields = dict[str, tuple[Any, dict[str, Any]]]


class ListQuery:
    """The parameters of one list, in two models: those that stand in OpenAPI, and those that only work.

    Args:
        own: The parameters that are no filters.
        documented: Whether filters stand in OpenAPI at all.
    """

    def __init__(self, resource: Resource, name: str, own: Fields, *, documented: bool = True) -> None:
        shown, hidden = dict(own), resource.filters.fields(documented=False)
        filters = resource.filters.fields(documented=True)
        if documented:
            shown |= filters
        else:
            hidden |= filters
        self.shown = _model(f"{name}Query", shown)
        self.hidden = _model(f"{name}HiddenQuery", hidden)
        self.names = frozenset({*shown, *hidden})

    def values(self, *sent: BaseModel) -> dict[str, Any]:
        """Returns the values of the two models by their names in the URL."""
        return {
            info.alias or "": getattr(model, name) for model in sent for name, info in type(model).model_fields.items()
        }


def check_parameters(request: Request, known: Iterable[str]) -> None:
    """Raises RequestValidationError for a parameter that is neither among the `known` ones nor a dependency's."""
    names = set(known)
    unknown = request.query_params.keys() - names
    if not unknown or not (unknown := unknown - _of_dependencies(request)):
        return
    errors = [
        {
            "type": "extra_forbidden",
            "loc": ("query", name),
            "msg": f"There is no parameter {name!r}. {did_you_mean(name, names)}".rstrip(),
            "input": request.query_params[name],
        }
        for name in sorted(unknown)
    ]
    raise RequestValidationError(errors)


def _of_dependencies(request: Request) -> set[str]:
    """The query parameters of whatever the route depends on, where it was included too."""
    route = request.scope.get("route")
    contexts = [each for each in iter_route_contexts(request.app.routes) if each.original_route is route]
    return {name for each in contexts for name in _query_names(each.dependant)}


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for below in dependant.dependencies:
        yield from _query_names(below)


def _model(name: str, fields: Mapping[str, tuple[Any, dict[str, Any]]]) -> type[BaseModel]:
    # Names in URLs are no names of Python's, and would hide methods of the model.
    numbered: dict[str, Any] = {
        f"parameter_{number}": (annotation, Field(alias=alias, **settings))
        for number, (alias, (annotation, settings)) in enumerate(fields.items())
    }
    return create_model(name, **numbered)


def list_fields(resource: Resource) -> Fields:
    """Returns the parameters of a list that are no filters."""
    default = ", ".join(resource.ordering.default) or "its key"
    told = f"What the list is ordered by, `-` for descending; repeat it for several. Otherwise by {default}."
    counted = (bool, {"default": False, "description": "Whether all items are counted."})
    searched = _search(resource)
    return {**searched, **order_field(resource.ordering.choices, told), **resource.paging.fields(), "total": counted}


def order_field(choices: Sequence[str], told: str) -> Fields:
    """Returns the parameter ``order_by``; none where there is nothing to order by."""
    return choice_field("order_by", choices, told)


def choice_field(name: str, choices: Sequence[str], told: str) -> Fields:
    """Returns a parameter that may be repeated, each time with one of the `choices`."""
    if not choices:
        return {}
    one: Any = Literal[tuple(choices)]
    kind = Annotated[list[one], Field(max_length=10)]
    return {name: (kind, {"default_factory": list, "description": told})}


def _search(resource: Resource) -> Fields:
    if resource.search is None:
        return {}
    text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
    return {"search": (text, {"default_factory": str, "description": "Words that are all to be found."})}
