"""The text of a cursor: a place in an order from which a list goes on.

1. A cursor holds the values of a row's terms, not a number of rows: nothing is lost or repeated when others change.
2. It is signed, has a version, and is bound to the order and the filters that it came from.
3. Its values have the types of their fields. A cursor that was not made here for this list is refused.
4. It is short, whatever its values are: it has a hash of those that are too long, and they are read from the row.

It is signed, not encrypted: a client can read in it the values by which the list is ordered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core import signing
from django.db.models import Q
from pydantic import ValidationError

from djfast_mount.crud.query.terms import Term

__all__ = ["Hashed", "InvalidCursor", "Place", "after", "fingerprint", "read", "written"]

VERSION = 1
# A salt of its own: a text that the site signs elsewhere, a password reset say, is no cursor.
_SALT = "djfast_mount.crud.cursor"
_HASH = "sha256"
# Characters of JSON. nginx takes 4 kB of response headers by default, and `Link` has two cursors.
_LONGEST = 1000


class InvalidCursor(ValueError):
    """The text is no cursor of this list."""


@dataclass(frozen=True)
class Hashed:
    """A value that is too long for a cursor.

    Args:
        digest: The SHA-256 of its JSON.
    """

    digest: str

    def is_of(self, term: Term, value: Any) -> bool:
        """Whether it is the hash of `value`, which a row has for `term`."""
        return value is not None and _digest(_json_value(term, value)) == self.digest


class Place(NamedTuple):
    """Where a list goes on: behind the row with these values, or before it where `backward`.

    Those that were too long for its cursor are `Hashed` until they are read from the row.
    """

    values: list[Any]
    backward: bool = False


def fingerprint(terms: Iterable[Term], asked: Iterable[tuple[str, str]], where: str) -> str:
    """Returns what binds a cursor to its list: the order, the filters, and the path that the list is at."""
    order = [f"{'-' if term.descending else ''}{term.name}" for term in terms]
    # Sorted, as the same filters in another order are the same list. The path is among them: a cursor of one parent's
    # children must not go on in those of another.
    told = repr((order, sorted(asked), where))
    # Raw bytes in a query come as lone surrogates, which UTF-8 refuses: that would be a 500 for a stranger's URL.
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def written(place: Place, terms: Sequence[Term], bound_to: str) -> str:
    """Returns the text of the cursor for `place`."""
    values = [_json_value(term, value) for term, value in zip(terms, place.values, strict=True)]
    # Never the key, which finds the row.
    others = [number for number, term in enumerate(terms) if not term.is_key]
    for number in sorted(others, key=lambda each: -len(json.dumps(values[each]))):
        if len(json.dumps(values)) <= _LONGEST:
            break
        values[number] = {_HASH: _digest(values[number])}
    return signing.dumps([VERSION, bound_to, int(place.backward), values], salt=_SALT)


def _json_value(term: Term, value: Any) -> Any:
    return None if value is None else term.validator().dump_python(value, mode="json")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def read(text: str, terms: Sequence[Term], bound_to: str) -> Place:
    """Returns the place that a cursor stands for.

    Raises:
        InvalidCursor: It was not signed by this site, is of another version, or belongs to another list.
    """
    try:
        version, owner, backward, raw = signing.loads(text, salt=_SALT)
    # A text that is signed may still be of another shape, if SECRET_KEY is shared with another project.
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise InvalidCursor("The cursor was not made by this site.") from error
    if version != VERSION:
        raise InvalidCursor("The cursor is of another version. Start again without it.")
    if owner != bound_to or len(raw) != len(terms):
        raise InvalidCursor("The cursor belongs to another order, or to other filters. Start again without it.")
    try:
        values = [_value(term, value) for term, value in zip(terms, raw, strict=True)]
    except ValidationError as error:
        raise InvalidCursor("The cursor does not fit this list. Start again without it.") from error
    return Place(values, bool(backward))


def _value(term: Term, raw: Any) -> Any:
    # No value that a list is ordered by is an object in JSON.
    if isinstance(raw, dict) and isinstance(digest := raw.get(_HASH), str):
        return Hashed(digest)
    return None if raw is None else term.validator().validate_python(raw)


def after(terms: Sequence[Term], values: Sequence[Any]) -> Q:
    """Returns the condition for rows that come after the one with these `values`, in the order of `terms`.

    An OR of one condition for each term: equal in all terms before it, and behind in this one.
    """
    condition, equal = Q(), Q()
    behind_any = False
    for term, value in zip(terms, values, strict=True):
        behind = _behind(term, value)
        if behind is not None:
            condition = condition | (equal & behind) if behind_any else equal & behind
            behind_any = True
        # `column = NULL` is never true in SQL.
        equal &= Q((f"{term.alias}__isnull", True)) if value is None else Q((term.alias, value))
    # An empty Q passes every row: behind the last place the whole list would begin again.
    return condition if behind_any else Q(pk__in=[])


def _behind(term: Term, value: Any) -> Q | None:
    """The rows behind `value` in this term alone; None where there cannot be any."""
    if value is None:
        return Q((f"{term.alias}__isnull", False)) if term.nulls_first else None
    condition = Q((f"{term.alias}__{'lt' if term.descending else 'gt'}", value))
    if term.nullable and not term.nulls_first:
        condition |= Q((f"{term.alias}__isnull", True))
    return condition
