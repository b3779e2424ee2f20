"""The README's table: the ratios of docs/benchmarks.md, a line for each kind of work.

    python tests/benchmarks/readme.py

writes it anew; tests/test_readme.py sees that it was done.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
HEAD = "| work | the mounted app's requests per second, times those of |\n|---|---|"
_LINE = re.compile(
    r"^\| (?P<work>[^|]+) \| (?P<server>[^|]+) \|(?P<answers>[^|]*)\|(?:[^|]*\|){4} "
    r"(?P<rate>[\d.]+) x \((?P<low>[\d.]+) to (?P<high>[\d.]+)\)",
    re.MULTILINE,
)
_BETWEEN = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- end of benchmarks -->)", re.DOTALL)


def table(page: str) -> str:
    """The table, of the page that `nox -s bench -- --write` has written."""
    found: dict[str, list[str]] = {}
    for line in _LINE.finditer(page):
        failing = " (some of its answers failed)" if "failed" in line["answers"] else ""
        # The README says what the mark means.
        unclear = "~" if float(line["low"]) < 1 < float(line["high"]) else ""
        found.setdefault(line["work"], []).append(f"{line['server']}: **{unclear}{float(line['rate']):.3g}**{failing}")
    return "\n".join([HEAD, *(f"| {work} | {'; '.join(peers)} |" for work, peers in found.items())])


def main() -> None:
    README.write_text(
        _BETWEEN.sub(lambda found: found[1] + table(PAGE.read_text()) + "\n" + found[2], README.read_text())
    )


if __name__ == "__main__":
    main()
