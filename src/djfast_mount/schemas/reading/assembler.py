"""From rows of columns to nested dicts, by functions that are generated for one shape.

The code names no value of a user's: columns, nested rows and functions go by number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Assembler", "Compiled"]


class Compiled(NamedTuple):
    """What makes dicts of rows. Both functions take the rows and, for each branch, what looks up its list.

    Attributes:
        listed: Returns a list.
        grouped: Takes rows with a key before them, and returns lists by that key.
        source: The code.
    """

    listed: Callable[..., list[Any]]
    grouped: Callable[..., dict[Any, list[Any]]]
    source: str


@dataclass
class Assembler:
    """Collects what rows are made of, and compiles the functions that make them.

    Attributes:
        columns: The lookups of the columns, in the order in which rows have them.
        functions: What some values go through.
        branches: How many lists of other queries' rows there are.
    """

    columns: list[str] = field(default_factory=list)
    functions: list[Callable[[Any], Any]] = field(default_factory=list)
    branches: int = 0

    def column(self, lookup: str) -> int:
        """Returns the number of the column, which is asked for once."""
        if lookup not in self.columns:
            self.columns.append(lookup)
        return self.columns.index(lookup)

    def value(self, lookup: str, function: Callable[[Any], Any] | None = None) -> str:
        """Returns the code of a column's value, made by `function` where there is one."""
        name = f"c{self.column(lookup)}"
        if function is None:
            return name
        self.functions.append(function)
        return f"f{len(self.functions) - 1}({name})"

    def together(self, lookups: Sequence[str]) -> str:
        """Returns the code of a tuple of columns."""
        return f"({''.join(f'c{self.column(lookup)}, ' for lookup in lookups)})"

    def branch(self, key: str) -> str:
        """Returns the code of the list that another query has for the value of the column `key`."""
        code = f"(m{self.branches}(c{self.column(key)}) or [])"
        self.branches += 1
        return code

    @staticmethod
    def nested(members: Sequence[tuple[str, str]]) -> str:
        """Returns the code of a dict: names with the code of their values."""
        return "{" + ", ".join(f"{name!r}: {code}" for name, code in members) + "}"

    def unless_none(self, key: str, code: str) -> str:
        """Returns `code`, but None where the column `key` is."""
        return f"(None if c{self.column(key)} is None else {code})"

    def compile(self, item: str, name: str) -> Compiled:
        """Returns the functions that make `item`, the code of one row. `name` stands in their tracebacks."""
        columns = "".join(f"c{number}, " for number in range(len(self.columns)))
        branches = "".join(f", m{number}" for number in range(self.branches))
        source = (
            f"def listed(rows{branches}):\n"
            f"    return [{item} for {columns}in rows]\n"
            f"def grouped(rows{branches}):\n"
            "    found = {}\n"
            f"    for key, {columns}in rows:\n"
            f"        item = {item}\n"
            "        if key in found:\n"
            "            found[key].append(item)\n"
            "        else:\n"
            "            found[key] = [item]\n"
            "    return found\n"
        )
        names: dict[str, Any] = {f"f{number}": function for number, function in enumerate(self.functions)}
        exec(compile(source, f"<plan of {name}>", "exec", dont_inherit=True), names)
        return Compiled(names["listed"], names["grouped"], source)
