"""Keys of rows that a path cannot name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Model
from fastapi.exceptions import RequestValidationError

from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.routing.prefixes import has_control_character

__all__ = ["PathsOfTree", "check_path", "path_keys"]


def path_keys(resource: Resource, row: Model) -> list[Any]:
    """Returns the values by which paths name `row`."""
    return [getattr(row, key.column) for key in resource.keys]


def check_path(resource: Resource, row: Model, path: Sequence[str | int] = ("body",)) -> None:
    """Raises RequestValidationError when no path names `row`: it was written, and its own URL would be 404.

    Args:
        path: Where the row stands in the body.
    """
    for key, value in zip(resource.keys, path_keys(resource, row), strict=True):
        # Servers decode `%2F` before they route, and clients take `..` away before they send, also as `%2E%2E` (WHATWG
        # URL, section 4.4).
        # A control character in a path is answered 400.
        if "/" in str(value) or str(value) in ("", ".", "..") or has_control_character(str(value)):
            told = (
                "Paths name the row by this value. It must not be empty, '.' or '..', or have a '/' or a control "
                "character such as a line break."
            )
            place = (*path, _name_of(resource, key.column))
            raise RequestValidationError([{"type": "invalid_key", "loc": place, "msg": told, "input": value}])


def _name_of(resource: Resource, column: str) -> str:
    """What the schema calls a column."""
    field = resource.model._meta.pk if column == "pk" else None
    found = (
        name for name, each in resource.exposure.fields.items() if each is field or column in (each.name, each.attname)
    )
    return next(found, column)


class PathsOfTree:
    """The paths of rows of any model in the tree of `resource`."""

    def __init__(self, resource: Resource) -> None:
        self._resources = list(resource.root().walk())

    def of(self, row: Model) -> list[list[Any]]:
        """Returns the values by which paths name `row`, for each resource of its model."""
        return [path_keys(each, row) for each in self._of_model(row)]

    def check(self, row: Model, place: Sequence[str | int]) -> None:
        """Raises RequestValidationError where one of them does not name `row`, which stands at `place` in the body."""
        for each in self._of_model(row):
            check_path(each, row, place)

    def _of_model(self, row: Model) -> Iterator[Resource]:
        # A proxy has the same rows.
        model = row._meta.concrete_model
        return (each for each in self._resources if each.model._meta.concrete_model is model)
