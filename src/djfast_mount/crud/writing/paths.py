"""Keys of rows that a path cannot name."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from fastapi.exceptions import RequestValidationError

from djfast_mount.crud.declaring.resource import Resource

__all__ = ["check_path", "path_keys"]


def path_keys(resource: Resource, row: Model) -> list[Any]:
    """Returns the values by which paths name `row`."""
    return [getattr(row, key.column) for key in resource.keys]


def check_path(resource: Resource, row: Model) -> None:
    """Raises RequestValidationError when no path names `row`: it was written, and its own URL would be 404."""
    for key, value in zip(resource.keys, path_keys(resource, row), strict=True):
        # Servers decode `%2F` before they route, and clients take `..` away before they send, also as `%2E%2E` (WHATWG
        # URL, section 4.4).
        if "/" in str(value) or str(value) in ("", ".", ".."):
            told = "Paths name the row by this value. It must not be empty, '.' or '..', or have a '/'."
            place = ("body", _name_of(resource, key.column))
            raise RequestValidationError([{"type": "invalid_key", "loc": place, "msg": told, "input": value}])


def _name_of(resource: Resource, column: str) -> str:
    """What the schema calls a column."""
    field = resource.model._meta.pk if column == "pk" else None
    found = (
        name for name, each in resource.exposure.fields.items() if each is field or column in (each.name, each.attname)
    )
    return next(found, column)
