"""The text of a statement without the values that it may hold. Standard library only.

Where it cannot be told where a value ends, the rest of the text is left out: rather too little is shown than a value.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["shown", "without_values"]

_SHOWN = 1000
# PostgreSQL has underscores between digits, and numbers to the bases 2 and 8 (its documentation, section 4.1.2.6).
_NUMBER = r"\b(?:0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)*(?:[eE][+-]?[\d_]+)?)\b"
# Quantifiers are possessive, and those without an end lazy: a text of megabytes is read once, and takes no memory.
_PARTS = (
    r"'[^']*+(?:''[^']*+)*+(?:'|\Z)",
    r"(?<![\w$])\$((?:[^\W\d]\w*)?)\$.*?(?:\$\1\$|\Z)",  # PostgreSQL's
    _NUMBER,
    # They hold values too, as those of SQLCommenter do, and quotation marks that end nothing.
    r"(?P<comment>--[^\n]*|/\*.*?(?:\*/|/\*.*|\Z))",
)


def _compiled(names: str, *more: str) -> re.Pattern[str]:
    return re.compile("|".join([*_PARTS, f"(?P<name>{names})", *more]), re.DOTALL)


_NUMBERS = re.compile(_NUMBER)
_VALUES = _compiled('`[^`]*+`|"[^"]*+"', '[`"].*')
# MySQL has texts in double quotes, and Python shows some so.
_MORE_VALUES = _compiled("`[^`]*+`", '"[^"]*+(?:"|\\Z)', "`.*", "#[^\\n]*")
_MARKS = re.compile(r"['\"$`#]|--|/\*")
_QUOTE = re.compile(r"['\"]")
_ESCAPED = re.compile(r"\\['\"]")
# As Django writes it for SQLite and Oracle, where a backslash in a text escapes nothing.
_OF_DJANGO = re.compile(r"(ESCAPE (?:TRANSLATE\()?)'\\'")
_PLACES = re.compile(r"%s(?:, %s)+")


def shown(sql: Any, vendor: str) -> str:
    """Returns a statement for people: without the values that its text may hold, and no longer than one reads."""
    text = _PLACES.sub("%s, ...", without_values(sql, vendor))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def without_values(sql: Any, vendor: str) -> str:
    """Returns the text of a statement with ``?`` in the place of each value, and without comments.

    Args:
        sql: The text, or an object of a driver that stands for it.
        vendor: Django's name for the kind of the database.
    """
    text = sql if type(sql) is str else str(sql)
    if _MARKS.search(text) is None:
        return _NUMBERS.sub("?", text)
    # A function, not a template: for one of those `re` looks a name up at each call, and Python caches each lookup.
    text = _OF_DJANGO.sub(_escape, text)
    if _ESCAPED.search(text) is not None:
        # A backslash escapes the quote in some databases, and in others by their settings.
        text = _QUOTE.split(text, maxsplit=1)[0] + "?"
    values = _VALUES if type(sql) is str and vendor != "mysql" else _MORE_VALUES
    return values.sub(_told, text)


def _escape(match: re.Match[str]) -> str:
    return f"{match[1]}?"


def _told(match: re.Match[str]) -> str:
    if (name := match["name"]) is not None:
        return name
    return "?" if match["comment"] is None else ""
