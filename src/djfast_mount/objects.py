"""`get_object_or_404`: one object of a model or queryset, as a function and as a dependency."""

from __future__ import annotations

import inspect
from inspect import Parameter, Signature
from typing import Any, TypeVar, overload
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.http import Http404
from django.shortcuts import aget_object_or_404
from django.shortcuts import get_object_or_404 as djangos_get_object_or_404
from fastapi import Depends

from djfast_mount.auth.user_dependencies import CurrentUser
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["aget_object_or_404", "get_object_or_404"]

M = TypeVar("M", bound=models.Model)
# Which type a parameter is declared with; text for every other field.
_TYPES: dict[type[models.Field[Any, Any]], type] = {models.IntegerField: int, models.UUIDField: UUID}


@overload
def get_object_or_404(
    klass: type[M] | models.Manager[M] | models.QuerySet[M], /, *args: models.Q, **kwargs: Any
) -> M: ...


@overload
def get_object_or_404(
    klass: type[M] | models.Manager[M] | models.QuerySet[M],
    parameter: str,
    /,
    *,
    field: str | None = None,
    owner: str | None = None,
) -> Any: ...


def get_object_or_404(klass: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Returns the object, as Django's function does; given the name of a parameter, a dependency that returns it.

        book = get_object_or_404(Book, id=1)
        MyBook = Annotated[Book, get_object_or_404(Book, "id", owner="owner")]

    The function belongs into sync code; `aget_object_or_404` is its async twin. The dependency runs on the request
    thread, for `def` and `async def` endpoints.

    Args:
        klass: A model, manager or queryset.
        args: `Q` objects; or the name of a parameter of the path or, if the path has none of that name, of the query.
        field: The field that the parameter is the value of, or a lookup as in ``author__name``. None: the field that
            is named as the parameter.
        owner: The field, or the lookup, that must be the user who calls: 401 when there is none, and 404 for what is
            another's.

    Raises:
        Http404: There is no such object.
        ConfigurationError: The model has no such field.
    """
    if not args or not isinstance(args[0], str):
        # One name for both: a project that imports it from here loses nothing of Django's.
        return djangos_get_object_or_404(klass, *args, **kwargs)
    return Depends(_Object(klass, *args, **kwargs))


class _Object:
    """Dependency: one object. FastAPI calls it on the request thread."""

    def __init__(self, klass: Any, parameter: str, *, field: str | None = None, owner: str | None = None) -> None:
        model = klass if inspect.isclass(klass) else getattr(klass, "model", None)
        if not (inspect.isclass(model) and issubclass(model, models.Model)):
            raise ConfigurationError(
                f"get_object_or_404() got {klass!r}. Give a model, a manager or a queryset, as in "
                'get_object_or_404(Book, "id").'
            )
        self._klass = klass
        self._parameter = parameter
        self._field = field or parameter
        self._owner = owner
        self._user = f"{parameter}_owner"
        kind = _type_of(_field_at_the_end(model, self._field, "field"))
        parameters = [Parameter(parameter, Parameter.KEYWORD_ONLY, annotation=kind)]
        if owner is not None:
            _check_owner(model, owner)
            parameters.append(Parameter(self._user, Parameter.KEYWORD_ONLY, annotation=CurrentUser))
        self.__signature__ = Signature(parameters)

    def __call__(self, **values: Any) -> models.Model:
        lookups = {self._field: values[self._parameter]}
        if self._owner is not None:
            # In the query itself: a row that is looked up first and compared then would tell by its timing that it is
            # there.
            lookups[self._owner] = values[self._user]
        try:
            return djangos_get_object_or_404(self._klass, **lookups)  # type: ignore[no-any-return]
        except (TypeError, ValueError, ValidationError) as error:
            # A text that the field cannot have for a value: there is no object with it.
            raise Http404(str(error)) from error


def _field_at_the_end(model: type[models.Model], lookup: str, argument: str) -> Any:
    """The field that `lookup` comes to, before a transform if it ends in one. Raises ConfigurationError."""
    found: Any = None
    below: Any = model
    for name in lookup.split("__"):
        field = _field(below, name)
        if field is None:
            if found is not None and (found.get_lookup(name) or found.get_transform(name)):
                return found
            raise _no_such_field(below or model, name, lookup, argument)
        found, below = field, field.related_model
    return found


def _check_owner(model: type[models.Model], owner: str) -> None:
    related = _field_at_the_end(model, owner, "owner").related_model
    # A wrong owner would compare keys of other tables with the user's, and give away rows that happen to have the same
    # number.
    user = get_user_model()
    if related is None or not (issubclass(user, related) or issubclass(related, user)):
        raise ConfigurationError(
            f"get_object_or_404() got owner={owner!r}, which is no relation from {model.__qualname__} to "
            f"{user.__qualname__}. Name the field that holds the user."
        )


def _field(model: type[models.Model] | None, name: str) -> Any:
    if model is None:
        return None
    try:
        return model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None


def _no_such_field(model: type[models.Model], name: str, lookup: str, argument: str) -> ConfigurationError:
    fields = [field.name for field in model._meta.get_fields()]
    meant = did_you_mean(name, fields, f"The fields are {', '.join(fields)}.")
    also = ' Where the parameter has another name, write field="pk", or whichever it is.' if argument == "field" else ""
    return ConfigurationError(
        f"get_object_or_404() got {lookup!r}, and {model.__qualname__} has no field {name!r}. {meant}{also}"
    )


def _type_of(field: Any) -> type:
    field = getattr(field, "target_field", field)
    return next((kind for cls, kind in _TYPES.items() if isinstance(field, cls)), str)
