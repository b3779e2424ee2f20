"""The query parameters of a list as Pydantic models, and what a request sent of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import Query, Request
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
    """The parameters of one list, in three models: its own, the filters, and those that work without being in OpenAPI.

    Args:
        own: The parameters that are no filters.
        documented: Whether filters stand in OpenAPI at all.
    """

    def __init__(self, resource: Resource, name: str, own: Fields, *, documented: bool = True) -> None:
        self.models = (_model(f"{name}Query", own), *_filter_models(resource, documented))
        self.names = frozenset(info.alias or "" for model in self.models for info in model.model_fields.values())

    @property
    def annotations(self) -> dict[str, Any]:
        """The parameters of a function that takes them, by name."""
        own, shown, hidden = self.models
        return {
            "query": Annotated[own, Query()],
            "filters": Annotated[shown, Query()],
            "hidden": Annotated[hidden, Query(include_in_schema=False)],
        }

    def values(self, *sent: BaseModel) -> dict[str, Any]:
        """Returns the values of the models by their names in the URL."""
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


@cache
def _filter_models(resource: Resource, documented: bool) -> tuple[type[BaseModel], type[BaseModel]]:
    """The filters of a resource, in OpenAPI and not. Its list and its aggregates share them."""
    shown, hidden = (resource.filters.fields(documented=each) for each in (True, False))
    if not documented:
        shown, hidden = {}, {**hidden, **shown}
    name = resource.model.__name__
    return _model(f"{name}Filters", shown), _model(f"{name}HiddenFilters", hidden)


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
