"""The page's figures, drawn in a terminal by rich."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

try:
    from rich import box
    from rich.console import Console, Group
    from rich.live import Live
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise ImportError(
        'manage.py mount_top draws with rich, which is not installed. Install it: pip install "djfast-mount[rich]".'
    ) from error

__all__ = ["Console", "Live", "drawn"]

# Those of the page that are told here, and how many rows of each: the rest would not fit.
_SHOWN = {"requests": 15, "threads": 16, "waiting": 5, "connections": 5, "slowest": 5, "suspicions": 5, "leaks": 5}
# Shown even where they are empty.
_ALWAYS = ("requests", "connections")
_BARS = " ▁▂▃▄▅▆▇█"


def drawn(figures: Mapping[str, Any], fault: str = "") -> Group:
    """Returns what `figures.json` tells, to be printed. No markup is read in its texts.

    Args:
        fault: Why there are no newer ones.
    """
    return Group(_headline(figures, fault), *_tables(figures))


def _headline(figures: Mapping[str, Any], fault: str) -> Panel:
    summary = Text("   ").join(
        Text.assemble((f"{name} ", "dim"), (value, "bold")) for name, value in figures["summary"]
    )
    lines = [summary, Text(f"Requests/s {_course(figures['charts']['whole']['rate'])}", style="cyan")]
    if not figures["telemetry"]:
        lines.append(Text('Requests are not counted: set DJFAST_MOUNT["telemetry"] = True.', style="yellow"))
    if fault:
        lines.append(Text(fault, style="red"))
    return Panel(Group(*lines), title=Text(f"Process {figures['process']}, counting since {figures['since']}"))


def _course(values: list[float]) -> str:
    most = max(values, default=0.0)
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] if most else _BARS[0] for value in values)


def _tables(figures: Mapping[str, Any]) -> Iterator[Table]:
    for told in figures["tables"]:
        most = _SHOWN.get(told["key"], 0)
        if not most or not (told["rows"] or told["key"] in _ALWAYS):
            continue
        table = Table(
            title=Text(f"{told['title']}  {told['note']}".strip()),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            expand=True,
        )
        for heading in told["texts"]:
            table.add_column(Text(heading), overflow="fold")
        for heading in told["numbers"]:
            table.add_column(Text(heading), justify="right", no_wrap=True)
        for row in told["rows"][:most]:
            table.add_row(*map(Text, row))
        yield table
