"""The filters of a resource: the query model that reads them, and the condition that they make.

1. Relations are asked by EXISTS: no row comes twice, and no DISTINCT is needed.
2. All parameters of one relation speak of the same related row: ``departments__name=a&departments__size__gte=5`` finds
   companies with a department that is both.
3. The opposite of a filter is true for nulls too: ``!name=x`` finds whatever is not `x`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from django.db.models import BooleanField, Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThanOrEqual

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import Exposure, relation
from djfast_mount.crud.query.measures import measure_of
from djfast_mount.crud.query.parameters import Parameter, default_parameters, parameters
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["Filters"]

NOT = "!"
_COMPARISONS = {"gte": GreaterThanOrEqual, "lte": LessThanOrEqual}
Values = Mapping[str, Any]


class Filters:
    """What the callers of one resource may ask for.

    Args:
        choice: ``"default"``, the readable few; ``"all"``; or the names of those that there are.
        reserved: Parameters of another meaning. A field that is called like one is asked for by ``<field>__exact``.
        skip: Fields that are left out.

    Raises:
        ConfigurationError: `choice` names a parameter that there is not.
    """

    def __init__(
        self,
        exposure: Exposure,
        choice: Literal["default", "all"] | Sequence[str] = "default",
        *,
        reserved: Iterable[str] = (),
        skip: Iterable[str] = (),
    ) -> None:
        self.exposure = exposure
        chosen = _chosen(exposure, choice, frozenset(skip))
        self._parameters = {_unreserved(parameter.name, set(reserved)): parameter for parameter in chosen}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters by name, without their opposites."""
        return self._parameters

    def fields(self, *, opposites: bool) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Returns type and settings of each field of a query model, by its name in the URL: of the filters, or of their
        opposites.

        Opposites are not for OpenAPI: generators of clients make the same name of ``name`` and ``!name``.
        """
        sign = NOT if opposites else ""
        return {sign + name: _field(parameter) for name, parameter in self._parameters.items()}

    def condition(self, values: Values, visibility: Visibility) -> Q:
        """Returns what `values`, by parameter, ask for. None stands for a parameter that was not sent."""
        asked = [
            (self._parameters[name.removeprefix(NOT)], value, name.startswith(NOT))
            for name, value in values.items()
            if value is not None and name.removeprefix(NOT) in self._parameters
        ]
        condition = self._joined(
            [(parameter, value) for parameter, value, opposite in asked if not opposite], visibility
        )
        for parameter, value, opposite in asked:
            if opposite:
                condition &= ~self._joined([(parameter, value)], visibility)
        return condition

    def _joined(self, asked: list[tuple[Parameter, Any]], visibility: Visibility) -> Q:
        return _conditions(
            self.exposure.model, [(parameter, parameter.path, value) for parameter, value in asked], visibility
        )


def _chosen(
    exposure: Exposure, choice: Literal["default", "all"] | Sequence[str], skip: frozenset[str]
) -> Iterable[Parameter]:
    if choice == "default":
        return default_parameters(exposure, skip=skip)
    every = {parameter.name: parameter for parameter in parameters(exposure, skip=skip)}
    if choice == "all":
        return every.values()
    for name in choice:
        if name not in every:
            known = did_you_mean(name, every, f"There are {', '.join(every)}.")
            raise ConfigurationError(
                f"filters= names {name!r}, and {exposure.model.__name__} has no such filter. {known}"
            )
    return [every[name] for name in choice]


def _unreserved(name: str, reserved: set[str]) -> str:
    return f"{name}__exact" if name in reserved else name


def _field(parameter: Parameter) -> tuple[Any, dict[str, Any]]:
    return parameter.annotation, {"description": parameter.description}


def _conditions(model: Any, asked: list[tuple[Parameter, tuple[str, ...], Any]], visibility: Visibility) -> Q:
    """The condition for rows of `model`; the paths are what is left of each parameter's way."""
    condition = Q()
    below: dict[str, list[tuple[Parameter, tuple[str, ...], Any]]] = {}
    for parameter, path, value in asked:
        if path:
            below.setdefault(path[0], []).append((parameter, path[1:], value))
        elif parameter.measure is not None:
            condition &= Q(_comparison(model, parameter, value, visibility))
        else:
            condition &= Q((parameter.lookup, value))
    for name, further in below.items():
        inner = _conditions(relation(model, name).related_model, further, visibility)
        condition &= Q(visibility.behind(model, name, inner))
    return condition


def _comparison(model: Any, parameter: Parameter, value: Any, visibility: Visibility) -> Any:
    name, _, side = parameter.lookup.partition("__")
    measured = measure_of(visibility, model, name, parameter.measure or "count", parameter.measured)
    comparison = _COMPARISONS.get(side, Exact)(measured, value)
    if parameter.measured is None:
        return comparison
    # A sum over no rows is null, of which the opposite would be null too.
    return Coalesce(comparison, Value(False), output_field=BooleanField())
