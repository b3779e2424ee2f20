"""Tables for people: by rich on a terminal where it is installed, and in plain columns everywhere else."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from typing import Any

try:
    import rich.box as boxes
    from rich.console import Console
    from rich.table import Table
except ImportError:  # An optional extra, and the plain columns say the same.
    boxes = Console = Table = None  # type: ignore[assignment,misc]

__all__ = ["written_as_table"]

_GAP = "  "


def written_as_table(headings: Sequence[str], rows: Sequence[Sequence[str]], output: Any) -> str:
    """Returns the table as text: with colours and lines where `output` is a terminal and rich is installed."""
    if Console is not None and getattr(output, "isatty", lambda: False)():
        return _rich(headings, rows)
    return _plain(headings, rows)


def _plain(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["-" * len(heading) for heading in headings], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _rich(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = Table(box=boxes.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(cell) for cell in row))
    text = io.StringIO()
    # Into a text first: Django's OutputWrapper is no file that rich would know for a terminal.
    console = Console(file=text, force_terminal=True, width=shutil.get_terminal_size().columns, highlight=False)
    console.print(table)
    return text.getvalue().rstrip()


def _escaped(cell: str) -> str:
    # rich reads `[...]` as markup, and paths of routes have brackets.
    return cell.replace("[", r"\[")
