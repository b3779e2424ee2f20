"""The filters of a resource: which there are, and what each takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from django.db.models import Model, QuerySet

from djfast_mount.crud.declaring.exposure import Exposure
from djfast_mount.crud.query.parameters import Parameter, default_parameters, parameters
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["NOT", "RESERVED", "Filters", "OwnFilters"]

# A character that no name of a field can have, and that needs no escape in a query (RFC 3986 counts it among the
# sub-delims).
NOT = "!"
RESERVED = frozenset({"limit", "offset", "page", "cursor", "total", "search", "order_by", "group_by"})
"""Parameters with a meaning of their own."""


Fields = dict[str, tuple[Any, dict[str, Any]]]


class OwnFilters:
    """Filters that are not made from the schema, for ``filters=``."""

    def check(self, model: type[Model]) -> None:
        """Raises ConfigurationError when rows of `model` cannot be filtered so."""

    def fields(self) -> Fields:
        """Returns type and settings of each parameter, by its name in the URL."""
        raise NotImplementedError

    def narrowed(self, rows: QuerySet[Any], values: Mapping[str, Any]) -> QuerySet[Any]:
        """Returns the `rows` that `values`, by parameter, ask for, none twice. Runs on the request thread."""
        raise NotImplementedError

    def models(self, model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
        """Every other model whose rows a parameter speaks of, with the parameter."""
        return iter(())

    def unchecked(self) -> Iterator[str]:
        """What of it runs code of its own, of which nobody can tell the models that it asks."""
        return iter(())


class Filters:
    """What the callers of one resource may ask for.

    Args:
        choice: ``"default"``, the readable few; ``"all"``; the names of those that there are; or others.
        reserved: Parameters of another meaning. A field that is called like one is asked for by ``<field>__exact``.
        skip: Fields that are left out.

    Raises:
        ConfigurationError: `choice` names a parameter that there is not.
    """

    def __init__(
        self,
        exposure: Exposure,
        choice: Literal["default", "all"] | Sequence[str] | OwnFilters = "default",
        *,
        reserved: Iterable[str] = (),
        skip: Iterable[str] = (),
    ) -> None:
        self.exposure = exposure
        self.own = choice if isinstance(choice, OwnFilters) else None
        if self.own is not None:
            self.own.check(exposure.model)
        chosen = () if isinstance(choice, OwnFilters) else _chosen(exposure, choice, frozenset(skip))
        self._parameters = {_unreserved(parameter.name, set(reserved)): parameter for parameter in chosen}

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters by name, without their opposites."""
        return self._parameters

    def fields(self, *, opposites: bool) -> Fields:
        """Returns type and settings of each field of a query model, by its name in the URL: of the filters, or of their
        opposites.

        Opposites are not for OpenAPI: generators of clients make the same name of ``name`` and ``!name``.
        """
        if self.own is not None:
            return {} if opposites else self.own.fields()
        sign = NOT if opposites else ""
        return {sign + name: _field(parameter) for name, parameter in self._parameters.items()}


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
                exposure.why_hidden("filters=", name)
                or f"filters= names {name!r}, and {exposure.model.__name__} has no such filter. {known}"
            )
    return [every[name] for name in choice]


def _unreserved(name: str, reserved: set[str]) -> str:
    # A field called `page` or `search` stays reachable.
    return f"{name}__exact" if name in reserved else name


def _field(parameter: Parameter) -> tuple[Any, dict[str, Any]]:
    return parameter.annotation, {"description": parameter.description}
