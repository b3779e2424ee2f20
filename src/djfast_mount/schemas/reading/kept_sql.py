"""When SQL may be kept from one request to the next: where nobody but Django has a hand in it.

Packages for many tenants add the condition of the current tenant late, while the SQL is made: in a class of query, a
compiler or a backend of their own, in the copies of a queryset, in a foreign key that adds it to joins, or by a method
put in the place of Django's. No attribute of the query tells of it beforehand. Kept SQL would then show one tenant the
rows of another.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from django.db import connections
from django.db.models import Manager, QuerySet
from django.db.models.manager import BaseManager
from django.db.models.sql import Query

from djfast_mount.schemas.queryset_door import copies_itself_alone

__all__ = ["is_made_by_django", "names_one_table"]


def is_made_by_django(rows: QuerySet[Any]) -> bool:
    """Whether Django alone makes the SQL of `rows`, from what their query holds."""
    return type(rows.query) is Query and copies_itself_alone(rows) and not any(_foreign_parts(rows.db))


def names_one_table(query: Any) -> bool:
    """Whether the SQL of `query`, which has been made, has no join: a foreign key may add a condition to one."""
    return len(query.alias_map) == 1


# Once for a process: packages replace methods while Django starts.
@functools.cache
def _foreign_parts(using: str) -> tuple[str, ...]:
    """Returns the classes and methods that make SQL for the database `using`, and are not Django's."""
    operations: Any = connections[using].ops
    makers = (type(operations), operations.compiler("SQLCompiler"), Query, QuerySet, Manager, BaseManager)
    lines = [kind for maker in makers for kind in maker.__mro__[:-1]]
    return tuple(name for kind in dict.fromkeys(lines) for name in _foreign(kind))


def _foreign(kind: type) -> Iterator[str]:
    if not kind.__module__.startswith("django."):
        yield kind.__name__
        return
    # `functools.wraps` copies the names of a function, and not the place where its code was written.
    home = inspect.getsourcefile(kind)
    for name, value in vars(kind).items():
        method = getattr(value, "__func__", value)
        if callable(method) and not isinstance(method, type) and _place(method) != home:
            yield f"{kind.__name__}.{name}"


def _place(method: Any) -> str | None:
    """The file of a method's code; None where `method` is no plain function, as what tracers put around one is not."""
    return method.__code__.co_filename if type(method) is FunctionType else None
