"""What DELETE does to a row."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["Deletion", "SoftDelete"]


class Deletion:
    """Deletes rows from the database, with what Django's ``on_delete`` says of rows that point to them."""

    gone: Q = Q()
    """The rows that count as deleted though they are there."""

    fields: frozenset[str] = frozenset()
    """The fields that say so: a filter of one shows deleted rows too."""

    def check(self, model: type[Model]) -> None:
        """Raises ConfigurationError when rows of `model` cannot be deleted so."""

    def delete(self, row: Model) -> None:
        """Deletes `row`. Runs on the request thread, in a transaction."""
        # Through the instance: Django's collector, its signals and an overridden `delete()` all have their say.
        row.delete()


class SoftDelete(Deletion):
    """Keeps deleted rows, marked by their fields: they are in no list and answer 404.

        SoftDelete(status="closed")
        SoftDelete(deleted_at=timezone.now)

    Args:
        marks: What the fields are set to. With a function, called for each row, a row counts as deleted once the field
            is not null.
    """

    def __init__(self, **marks: Any) -> None:
        if not marks:
            raise ConfigurationError('SoftDelete() got no field. Name one, as in SoftDelete(status="closed").')
        self._marks = marks
        for name, mark in marks.items():
            self.gone &= Q((f"{name}__isnull", False)) if callable(mark) else Q((name, mark))
        self.fields = frozenset(marks)

    def check(self, model: type[Model]) -> None:
        known = {field.name: field for field in model._meta.concrete_fields}
        for name, mark in self._marks.items():
            if name not in known:
                told = did_you_mean(name, known)
                raise ConfigurationError(f"SoftDelete() names {name!r}, and {model.__name__} has no such field. {told}")
            _check_mark(known[name], mark)

    def delete(self, row: Model) -> None:
        for name, mark in self._marks.items():
            setattr(row, name, mark() if callable(mark) else mark)
        # Not update_fields: the model's save() and its auto_now fields may have more to write.
        row.save()


def _check_mark(field: Any, mark: Any) -> None:
    place = f"{field.model.__name__}.{field.name}"
    if callable(mark):
        if not field.null:
            raise ConfigurationError(
                f"SoftDelete({field.name}={mark!r}): a row would count as deleted once {place} is not null, and it is "
                "never null. Name a field with null=True."
            )
        return
    if field.is_relation:
        return
    try:
        field.clean(mark, None)
    except (ValidationError, TypeError, ValueError) as error:
        # `blank` is about forms: an empty text may be the mark.
        if getattr(error, "code", None) == "blank":
            return
        why = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        raise ConfigurationError(
            f"SoftDelete({field.name}={mark!r}): {place} does not accept the value. {why}{_accepted(field)}"
        ) from error


def _accepted(field: Any) -> str:
    return f" It accepts {', '.join(repr(value) for value, _ in field.flatchoices)}." if field.choices else ""
