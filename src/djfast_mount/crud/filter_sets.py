"""FilterSets of django-filter, for ``filters=``: ``pip install djfast-mount[filters]``.

1. Values are validated by the FilterSet's form. What it refuses is 422, with the parameter.
2. A FilterSet narrows the rows that the caller may see, and repeats none. It is applied to every list, also without
   parameters: it may always leave some out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.utils.datastructures import MultiValueDict
from django_filters import FilterSet, OrderingFilter  # type: ignore[import-untyped]
from fastapi.exceptions import RequestValidationError

from djfast_mount.crud.query.filters import Fields, OwnFilters
from djfast_mount.exceptions import ConfigurationError

__all__ = ["FilterSetFilters"]


class FilterSetFilters(OwnFilters):
    """The filters of a FilterSet: ``filters=FilterSetFilters(CompanyFilterSet)``.

    Its parameters are texts in OpenAPI. It has no ``request``.

    Args:
        checked: The filters that have a ``method=`` or a class of your own, and methods of the FilterSet, of which you
            know that they find no row by related ones that callers may not see. Where rows have rules, the app starts
            only if all are named.
    """

    def __init__(self, filter_set: type[FilterSet], *, checked: Sequence[str] = ()) -> None:
        self._filter_set = filter_set
        self._checked = frozenset(checked)
        self._parameters = dict(_parameters(filter_set))

    def check(self, model: type[Model]) -> None:
        name, own = self._filter_set.__name__, self._filter_set._meta.model
        if own is not None and not issubclass(model, own):
            raise ConfigurationError(f"filters= got {name}, which is of {own.__name__}, for rows of {model.__name__}.")
        for parameter, each in self._filter_set.base_filters.items():
            # Its order would be lost: the cursor's terms are set afterwards, and a page that goes on in another order
            # repeats rows.
            if isinstance(each, OrderingFilter):
                raise ConfigurationError(f"{name}.{parameter} orders rows. Take it out, and use order_by=.")

    def fields(self) -> Fields:
        return {name: (kind, {"description": told}) for name, (kind, told) in self._parameters.items()}

    def narrowed(self, rows: QuerySet[Any], values: Mapping[str, Any]) -> QuerySet[Any]:
        sent = {name: values[name] for name in self._parameters if values.get(name) is not None}
        data = MultiValueDict({name: value if isinstance(value, list) else [value] for name, value in sent.items()})
        found = self._filter_set(data, rows)
        if not found.is_valid():
            raise RequestValidationError(list(_errors(found.errors, sent)))
        # By key: a FilterSet may join relations to many, call `distinct()` or return a queryset with annotations, which
        # would multiply or clash with what comes after.
        return rows.filter(pk__in=found.qs.order_by().values("pk"))

    def models(self, model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
        for name, each in self._filter_set.base_filters.items():
            yield from ((name, reached) for reached in _reached(model, (each.field_name or "").split("__")))

    def unchecked(self) -> Iterator[str]:
        for name, each in self._filter_set.base_filters.items():
            if name not in self._checked and (each.method is not None or _is_own(type(each).filter)):
                yield name
        for name in ("filter_queryset", "qs"):
            if name not in self._checked and _is_own(getattr(self._filter_set, name, None)):
                yield name


def _is_own(function: Any) -> bool:
    """Whether `function`, of a filter or a FilterSet, is a project's and not django-filter's."""
    function = getattr(function, "fget", function)
    # Not by `__module__`, which a decorator may copy. What is no plain function nobody knows.
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return function is not None and not module.startswith("django_filters.")


def _parameters(filter_set: type[FilterSet]) -> Iterator[tuple[str, tuple[Any, str]]]:
    for name, each in filter_set.base_filters.items():
        # Filters with several inputs, of ranges say, have one parameter for each, named by their widget.
        suffixes = getattr(each.field.widget, "suffixes", None)
        multiple = isinstance(each.field, forms.MultipleChoiceField | forms.ModelMultipleChoiceField)
        kind: Any = list[str] if multiple else str
        told = str(each.label or name)
        for suffix in suffixes or [""]:
            yield f"{name}_{suffix}" if suffix else name, (kind, told)


def _errors(errors: Mapping[str, Any], sent: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, messages in errors.items():
        for message in messages:
            yield {"type": "invalid", "loc": ("query", name), "msg": str(message), "input": sent.get(name)}


def _reached(model: Any, names: list[str]) -> Iterator[type[Model]]:
    """The models that a lookup leads to."""
    # A lookup (`__gte`), a transform or a JSON key ends the way: what is behind it is no model.
    for name in names:
        try:
            found = model._meta.get_field(name)
        except FieldDoesNotExist:
            return
        if not found.is_relation:
            return
        model = found.related_model
        yield model
