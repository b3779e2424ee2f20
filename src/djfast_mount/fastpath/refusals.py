"""What is wrong with a request whose dependencies have all been called: one of the endpoint's own parameters.

FastAPI's functions validate each parameter and word the errors, in FastAPI's order. What is left out is its walk along
the tree of dependencies, which have nothing to say any more, and its search for what is known from the start of each
parameter. That takes longer than all the rest of a refused request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from starlette.requests import Request

from djfast_mount.fastpath.eligibility import dependants_of
from djfast_mount.fastpath.parameters import pairs_of
from djfast_mount.fastpath.private_names import private

__all__ = ["OwnParameters"]


class _Parameter(NamedTuple):
    field: Any
    alias: str
    loc: tuple[str, str]
    is_many: bool
    """Whether it takes every value of its name, as a list."""
    is_sequence: bool


class OwnParameters:
    """The parameters of one endpoint, without those of its dependencies.

    Args:
        dependant: FastAPI's, of the endpoint.
        embeds: Whether the route has each parameter of the body in a field of its own.
    """

    def __init__(self, dependant: Any, embeds: bool) -> None:
        self._path = _known(dependant.path_params)
        every = list(dependants_of(dependant))
        # FastAPI reads the query string before the first call. One that is handed the Request may change it.
        shows_request = any(each.request_param_name or each.http_connection_param_name for each in every)
        self._query = None if shows_request else _known(dependant.query_params, is_multiple=True)
        self._dependant = dependant
        self._embeds = embeds
        self.dependencies = len(every) - 1
        """How often a dependency is used."""

    async def errors(self, request: Request, body: Any) -> list[Any]:
        """Returns FastAPI's errors, in its order. There are none where a validator has changed its mind.

        Args:
            body: What the JSON of the request holds; Undefined: there is none.
        """
        dependant = self._dependant
        found = list(self._of_path(request))
        found += self._of_query(request)
        for fields, received in ((dependant.header_params, "headers"), (dependant.cookie_params, "cookies")):
            if fields:
                found += private.request_params_to_args(fields, getattr(request, received))[1]
        if dependant.body_params:
            found += (await private.request_body_to_args(dependant.body_params, body, self._embeds))[1]
        return found

    def _of_path(self, request: Request) -> Any:
        if self._path is None:
            return private.request_params_to_args(self._dependant.path_params, request.path_params)[1]
        return _wrong(self._path, request.path_params, ())

    def _of_query(self, request: Request) -> Any:
        if self._query is None:
            return private.request_params_to_args(self._dependant.query_params, request.query_params)[1]
        if not self._query:
            return ()
        pairs = pairs_of(request.scope["query_string"])
        return _wrong(self._query, dict(pairs), pairs)


def _known(fields: Sequence[Any], *, is_multiple: bool = False) -> list[_Parameter] | None:
    """Returns what is known of `fields` from the start; None where FastAPI decides with each request.

    Args:
        is_multiple: Whether a name may come several times.
    """
    found = []
    for field in fields:
        aliases = private._get_param_aliases(field)
        if len(aliases) != 1 or private._get_param_model(field) is not None:
            return None
        alias = aliases[0][1]
        is_sequence = bool(private.field_annotation_is_sequence(field.field_info.annotation))
        is_many = is_multiple and is_sequence and not private._is_json_field(field)
        found.append(_Parameter(field, alias, (field.field_info.in_.value, alias), is_many, is_sequence))
    return found


def _wrong(parameters: Sequence[_Parameter], received: Any, pairs: Sequence[tuple[str, str]]) -> Iterator[Any]:
    values: dict[str, Any] = {}
    for field, alias, loc, is_many, is_sequence in parameters:
        value = [text for name, text in pairs if name == alias] if is_many else received.get(alias)
        if value is None or (is_sequence and len(value) == 0):
            value = private.Undefined
        values[field.name], errors = private._validate_value_with_model_field(
            field=field, value=value, values=values, loc=loc
        )
        if errors:
            del values[field.name]
            yield from errors
