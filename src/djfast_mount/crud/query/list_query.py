"""The query parameters of a list, typed by Pydantic, and what a request sent of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, NotRequired, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.spelling import did_you_mean

__all__ = ["ListQuery", "check_parameters", "choice_field", "list_fields", "order_field"]

Fields = dict[str, tuple[Any, dict[str, Any]]]
_TYPED_DICT: Any = TypedDict  # made of names that are not known before


class ListQuery:
    """The parameters of one list: what they are in OpenAPI, and what a request sent of them.

    It reads the query itself. FastAPI's way costs time for every parameter that there is, where this one costs it for
    those that were sent; and FastAPI keeps the fields of 128 query models at most, of which many resources have more.

    Args:
        own: The parameters that are no filters.
        documented: Whether filters stand in OpenAPI.
    """

    def __init__(self, resource: Resource, own: Fields, *, documented: bool = True) -> None:
        shown = resource.filters.fields(opposites=False)
        fields = {**own, **shown, **resource.filters.fields(opposites=True)}
        self._shown = [*own, *shown] if documented else list(own)
        self._repeated = {name for name, (annotation, _) in fields.items() if _is_list(annotation)}
        self._defaults = {name: settings["default"] for name, (_, settings) in own.items() if "default" in settings}
        kinds: dict[str, Any] = {
            name: NotRequired[Annotated[annotation, Field(description=settings["description"])]]
            for name, (annotation, settings) in fields.items()
        }
        # Names in URLs are no names of Python's, which the keys of a dict need not be.
        query = _TYPED_DICT("Query", kinds)
        # Built with the first call: a project with fifty resources would wait for fifty validators at each start, in
        # tests and commands too.
        query.__pydantic_config__ = ConfigDict(defer_build=True)
        self._type: TypeAdapter[dict[str, Any]] = TypeAdapter(query)
        self.names = frozenset(fields)

    def parameters(self) -> list[dict[str, Any]]:
        """Returns what OpenAPI says of them."""
        described = self._type.json_schema()["properties"]
        found = []
        for name in self._shown:
            schema = {key: value for key, value in described[name].items() if key not in ("title", "description")}
            if name in self._defaults:
                schema["default"] = self._defaults[name]
            told = described[name].get("description", "")
            found.append({"name": name, "in": "query", "required": False, "description": told, "schema": schema})
        return found

    def values(self, request: Request) -> dict[str, Any]:
        """Returns what a request sent, by name, and the defaults of what it did not send.

        Raises: RequestValidationError, also for a parameter that there is not.
        """
        check_parameters(request, self.names)
        query = request.query_params
        sent = {
            name: query.getlist(name) if name in self._repeated else query[name] for name in query if name in self.names
        }
        try:
            return {**self._defaults, **self._type.validate_python(sent)}
        except ValidationError as error:
            told = error.errors(include_url=False)
            raise RequestValidationError([{**each, "loc": ("query", *each["loc"])} for each in told]) from error


def _is_list(annotation: Any) -> bool:
    return list in (get_origin(annotation), *map(get_origin, get_args(annotation)[:1]))


def check_parameters(request: Request, known: AbstractSet[str]) -> None:
    """Raises RequestValidationError for a parameter that is neither among the `known` ones nor a dependency's."""
    # An unknown parameter is refused: a misspelt filter that is ignored answers with all rows, and a client that
    # deletes what it finds deletes those.
    unknown = request.query_params.keys() - known
    # Only now: the walk over the dependencies costs more than all the rest, and most requests name nothing unknown.
    if not unknown or not (unknown := unknown - _of_dependencies(request)):
        return
    errors = [
        {
            "type": "extra_forbidden",
            "loc": ("query", name),
            "msg": f"There is no parameter {name!r}. {did_you_mean(name, known)}".rstrip(),
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
    # A bound on what one statement has to sort and group by.
    kind = Annotated[list[one], Field(max_length=10)]
    return {name: (kind, {"description": told})}


def _search(resource: Resource) -> Fields:
    if resource.search is None:
        return {}
    # Each word becomes a LIKE for each field, which no ordinary index serves.
    text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
    return {"search": (text, {"description": "Words that are all to be found."})}
