"""What a replacement gives a column that was not sent."""

from __future__ import annotations

import datetime
from typing import Any

from django.db.models import NOT_PROVIDED, Value

__all__ = ["lasting_default"]


def lasting_default(field: Any) -> Any:
    """Returns the default of `field`; NOT_PROVIDED where it is another one each time, or the database makes it.

    A replacement is idempotent (RFC 9110, section 9.2.2): a `default=uuid4` would give a row another value with each.
    """
    if not field.has_default() and field.has_db_default():
        return _literal(field.db_default)
    # Twice: mutable defaults are made by functions, `dict` or one of a project's own, and are equal each time.
    default = field.get_default()
    if callable(field.default) and (isinstance(default, _MOMENTS) or default != field.get_default()):
        return NOT_PROVIDED
    return default


# Those of a coarse clock may be equal twice in a row, and a date is until midnight.
_MOMENTS = (datetime.date, datetime.time)


def _literal(db_default: Any) -> Any:
    if isinstance(db_default, Value):
        return db_default.value
    return NOT_PROVIDED if hasattr(db_default, "resolve_expression") else db_default
