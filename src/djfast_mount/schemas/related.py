"""Schemas that read models.

    class AuthorOut(BaseModel, from_attributes=True):
        name: str
        books: Related[BookOut]

The manager `books` of an author is answered as the list of its rows.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db.models import Manager
from pydantic import BeforeValidator

__all__ = ["Related"]

T = TypeVar("T")


def _rows(value: Any) -> Any:
    if not isinstance(value, Manager):
        return value
    try:
        return list(value.all())
    except SynchronousOnlyOperation as error:
        raise SynchronousOnlyOperation(
            f"The related rows of {value.model.__name__!r} were asked for on the event loop. Fetch them with the rows "
            "that they belong to, by prefetch_related(), or make the endpoint a plain def."
        ) from error


Related = Annotated[list[T], BeforeValidator(_rows)]
"""The list of what a relation to many leads to: of it a model has a manager, which pydantic takes for no list.

Reads `all()` of the manager, on the thread that validates: the request thread for a `def` endpoint, and the event loop
for an `async def` one, where the rows have to be there already, by `prefetch_related`; Django raises
`SynchronousOnlyOperation` if they are not. What is no manager is taken as it is, so the schema reads plain lists too.
"""
