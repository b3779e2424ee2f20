"""What an SQL statement leaves in the session of its connection, as far as its text tells. Standard library only.

A setting that was changed, a temporary table, an advisory lock, a channel that is listened to, a prepared statement, a
database that is attached. What a function or a trigger of the project's own does in the database is not in the text.

1. A text leaves nothing if that can be proved of it, and for no other reason. All others leave something, of a kind
   that is not known if need be.
2. A text that is wrongly held to leave something costs time: its request keeps its thread while it waits, and the
   connection is reset or closed. One that is wrongly held to leave nothing would show the next request what it has
   left. So every doubt counts as something.
3. The proof looks for whole words, wherever in the text they stand. No quote, comment or white space hides one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["UNKNOWN", "Trace", "traces_of"]


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


UNKNOWN = Trace("other", "", True)
"""What leaves something that the text does not tell."""

# Nearly all of the ORM's. A comment before it may hold no other, and MySQL executes those with a `!`.
_PLAIN = re.compile(r"(?: \s | \( | /\*[^*/!+]*\*/ )* (?: select | insert | update | delete | with ) \b", re.VERBOSE)
# Words with which such a statement may leave something all the same. Some take SQL as a text, or as a parameter even.
_WORDS = (
    *("set_config", "pg_settings", "pg_temp", "setseed", "set_limit"),
    *("advisory_lock", "advisory_unlock", "get_lock", "release_lock", "release_all_locks"),
    *("replication_slot", "replication_origin", "dblink", "to_xml", "ts_stat", "ts_rewrite", "crosstab", "connectby"),
    *("load_extension", "fts3_tokenizer", "dbms"),
)
# Several statements, an assignment, and names that are spelled by numbers.
_SIGNS = (";", ":=", "u&")
_WORD = re.compile(rf"(?<![^\W_])(?:{'|'.join(_WORDS)})")
_INSERT = re.compile(
    r"(?: \s | \( | /\*[^*/!+]*\*/ )* insert \s (?: \s* (?: or \s+ \w+ | ignore ) \s )? \s* into \b", re.VERBOSE
)
_INTO = re.compile(r"\binto\b")
# A setting that lasts for the transaction and no longer.
_SET_LOCALLY = re.compile(
    r"""
    \b set_config \s* \( \s* (?: '[\w.]+' | %(?:\(\w+\))?s ) \s* , \s*
        (?: '[^'(),\\]*' | %(?:\(\w+\))?s (?: ::\w+ )* ) \s* , \s* true \s* \)
    """,
    re.VERBOSE,
)
_HARMLESS = re.compile(
    r"""
    \s* (?:
      | (?: begin | start \s+ transaction | commit | end | abort | rollback | savepoint | release | show ) \b
            [\w\s,."`]*
      | prepare \s+ transaction \s+ '[^']*'
      | pragma \s+ (?: \w+\. )? (?: table_\w+ | index_\w+ | foreign_key_\w+ | \w+_check ) \b .*
      | create \s+ (?: local \s+ )? temp (?: orary )? \s+ table \s (?: [^'"$/-] | "\w+" )*?
            \b on \s+ commit \s+ drop \b (?: \s+ as \s .* )?
    )
    """,
    re.VERBOSE | re.DOTALL,
)
# In MySQL, LOCAL is another word for SESSION, SET TRANSACTION is for one that is to come, and locks outlive theirs.
_HARMLESS_BUT_IN_MYSQL = re.compile(
    r"""\s* (?: set \s+ (?: local | transaction | constraints ) \b .* | lock \s+ table \b [\w\s,."]* )""",
    re.VERBOSE | re.DOTALL,
)

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
      | \b (?P<set_config> set_config ) \s* \( \s* (?: '(?P<config>[\w.]+)' )?
      | \b into \s+ (?P<temp> temp (?: orary )? ) \s
      | (?P<variable> @\w+ \s* := )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def traces_of(sql: str, vendor: str = "postgresql") -> tuple[Trace, ...]:
    """Returns what `sql` leaves in the session and takes away, in its order. For any thread.

    Args:
        sql: With placeholders.
        vendor: As Django names it, ``"mysql"``.
    """
    # Long texts are those of many values, and seldom come again. What is kept is at most 4 MB of text.
    return _known_traces(sql, vendor) if len(sql) <= _LONGEST_KNOWN else _found_traces(sql, vendor)


_LONGEST_KNOWN = 4096


def _found_traces(sql: str, vendor: str) -> tuple[Trace, ...]:
    text = sql.lower().rstrip("; \t\r\n")
    if _is_plain(text, vendor):
        return ()
    found = (*_of_statements(text), *_of_functions(text))
    if not found or any(sign in text for sign in ("--", "/*", "#", *_SIGNS)):
        # Something may stand where it was not looked for.
        found = (*found, Trace("channel", "", True)) if "listen" in text else (*found, UNKNOWN)
    return found


_known_traces = functools.lru_cache(maxsize=1024)(_found_traces)


def _is_plain(text: str, vendor: str) -> bool:
    """Whether it is sure that `text`, in lower case, leaves nothing."""
    if "set_config" in text:
        text = _SET_LOCALLY.sub(" ", text)
    if any(sign in text for sign in _SIGNS) or (any(word in text for word in _WORDS) and _WORD.search(text)):
        return False
    if _PLAIN.match(text):
        return "into" not in text or not _INTO.search(_INSERT.sub("", text, count=1))
    return bool(_HARMLESS.fullmatch(text) or (vendor != "mysql" and _HARMLESS_BUT_IN_MYSQL.fullmatch(text)))


def _of_statements(text: str) -> Iterator[Trace]:
    for match in _STATEMENT.finditer(text):
        found = {group: value for group, value in match.groupdict().items() if value is not None}
        default = found.pop("default", None)
        for group, value in found.items():
            yield _of_statement(group, value, default is not None)


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
        else:
            yield Trace("setting", match["config"] or "", True)
