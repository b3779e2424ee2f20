"""What an SQL statement leaves in the session of its connection, as far as its text tells. Standard library only.

A setting that was changed, a temporary table, an advisory lock, a channel that is listened to, a prepared statement, a
database that is attached. What a function does when the database calls it is not in the text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Trace", "traces_of"]


class Trace(NamedTuple):
    """One thing that a statement leaves or takes away.

    Attributes:
        kind: ``setting``, ``table``, ``lock``, ``channel``, ``statement``, ``code`` or ``other``.
        name: Of the setting, table or channel, in lower case. ``*`` stands for all of its kind, and an empty name for
            one that the text does not tell.
        left: Whether it is left; False where it is taken away.
    """

    kind: str
    name: str
    left: bool


# Statements that leave nothing, unless they have one of the hints in their text. Nearly all of the ORM's.
_PLAIN = ("select ", "insert ", "update ", "delete ", "with ", "savepoint ", "release ", "rollback ")
_HINTS = (";", "_lock", "unlock", "set_config", "temp", ":=")

_NAME = r"""["'`\[]?(?P<{}>[\w.@]+)"""
_STATEMENT = re.compile(
    rf"""
    (?:^|;)  (?: \s | --[^\n]*(?:\n|$) | /\*.*?\*/ | \( )*
    (?:
        set \s+ (?! local\b | transaction\b | constraints\b ) (?: session \s+ (?!characteristics) | global \s+ )?
            (?: (?P<zone> time \s+ zone ) | {_NAME.format("set")} )
            (?P<default> \s* (?: = | to \s ) \s* default \b )?
      | reset \s+ (?: session \s+ )? {_NAME.format("reset")}
      | create \s+ (?: or \s+ replace \s+ )? (?: global \s+ | local \s+ )? temp (?: orary )? \s+
            (?: table | view | sequence ) \s+ (?: if \s+ not \s+ exists \s+ )? {_NAME.format("table")}
      | drop \s+ (?: temporary \s+ )? (?: table | view | sequence ) \s+ (?: if \s+ exists \s+ )? {_NAME.format("drop")}
      | listen \s+ {_NAME.format("listen")}
      | unlisten \s+ (?: {_NAME.format("unlisten")} | (?P<unlisten_all> \* ) )
      | prepare \s+ (?! transaction\b ) {_NAME.format("prepare")}
      | deallocate \s+ (?: prepare \s+ )? {_NAME.format("deallocate")}
      | (?P<discard> discard \s+ all )
      | (?P<code> (?: do | call | load ) \b )
      | (?P<unlock_tables> unlock \s+ tables )
      | (?P<other>
            pragma \s+ (?! (?:\w+\.)? (?: table_\w+ | index_\w+ | foreign_key_\w+ | \w+_check ) \b )
                \w+ (?:\.\w+)? \s* [=(]
          | attach \b | lock \s+ tables? .* \b (?: read | write ) \b | use \s | handler \s
          | declare \b .* \b with \s+ hold \b )
    )
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_WITHIN = re.compile(
    r"""
        \b pg_ (?: try_ )? (?P<lock> advisory_lock ) (?: _shared )? \s* \(
      | \b (?P<lock_mysql> get_lock ) \s* \(
      | \b pg_ (?P<unlock> advisory_unlock ) (?: _shared )? \s* \(
      | \b (?P<unlock_mysql> release_lock ) \s* \(
      | \b (?P<unlock_all> pg_advisory_unlock_all | release_all_locks ) \s* \(
      | \b set_config \s* \( \s* (?: '(?P<config>[\w.]+)' )? (?P<rest> [^()]* ) \)?
      | \b into \s+ (?P<temp> temp (?: orary )? ) \s
      | (?P<variable> @\w+ \s* := )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ON_COMMIT_DROP = re.compile(r"\bon\s+commit\s+drop\b", re.IGNORECASE)
_LOCAL = re.compile(r",\s*true\s*$", re.IGNORECASE)


@functools.lru_cache(maxsize=1024)
def traces_of(sql: str) -> tuple[Trace, ...]:
    """Returns what `sql` leaves in the session and takes away, in its order. For any thread."""
    text = sql.lower()
    if text.startswith(_PLAIN) and not any(hint in text for hint in _HINTS):
        return ()
    return (*_of_statements(text), *_of_functions(text))


def _of_statements(text: str) -> Iterator[Trace]:
    for match in _STATEMENT.finditer(text):
        found = {group: value for group, value in match.groupdict().items() if value is not None}
        default = found.pop("default", None)
        for group, value in found.items():
            trace = _of_statement(group, value, default is not None)
            if trace.kind == "table" and trace.left and _ON_COMMIT_DROP.search(text):
                continue
            yield trace


def _of_statement(group: str, value: str, default: bool) -> Trace:
    kind, left = {
        "set": ("setting", not default),
        "zone": ("setting", not default),
        "reset": ("setting", False),
        "table": ("table", True),
        "drop": ("table", False),
        "listen": ("channel", True),
        "unlisten": ("channel", False),
        "unlisten_all": ("channel", False),
        "prepare": ("statement", True),
        "deallocate": ("statement", False),
        "discard": ("*", False),
        "code": ("code", True),
        "unlock_tables": ("other", False),
        "other": ("other", True),
    }[group]
    if group == "zone":
        name = "timezone"
    elif kind == "other":
        name = "lock" if group == "unlock_tables" else value.split(maxsplit=1)[0]
    else:
        name = "*" if kind == "*" or group.endswith("_all") or (value == "all" and not left) else value
    return Trace(kind, name, left)


def _of_functions(text: str) -> Iterator[Trace]:
    for match in _WITHIN.finditer(text):
        group = match.lastgroup
        if group in ("lock", "lock_mysql"):
            yield Trace("lock", "", True)
        elif group in ("unlock", "unlock_mysql"):
            yield Trace("lock", "", False)
        elif group == "unlock_all":
            yield Trace("lock", "*", False)
        elif group == "temp":
            yield Trace("table", "", True)
        elif group == "variable":
            yield Trace("other", "", True)
        elif not _LOCAL.search(match["rest"]):
            yield Trace("setting", match["config"] or "", True)
