"""What DELETE does to a row."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q

from djfast_mount.exceptions import ConfigurationError

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
        for name in self._marks:
            try:
                model._meta.get_field(name)
            except FieldDoesNotExist:
                raise ConfigurationError(
                    f"SoftDelete() names {name!r}, and {model.__name__} has no such field."
                ) from None

    def delete(self, row: Model) -> None:
        for name, mark in self._marks.items():
            setattr(row, name, mark() if callable(mark) else mark)
        # Not update_fields: the model's save() and its auto_now fields may have more to write.
        row.save()
