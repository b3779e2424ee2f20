"""The diffs of a page of the docs, applied to a copy of the project that they are for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from harness import TESTS

DOCS = TESTS.parent / "docs"


def apply(page: str, folder: Path) -> None:
    """All diffs of the page, in their order."""
    diffs = re.findall(r"^```diff\n(.*?)^```$", (DOCS / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)
    assert diffs
    patch = ["patch", "--strip=1", "--fuzz=0", "--no-backup-if-mismatch"]
    for diff in diffs:
        subprocess.run(patch, input=diff, cwd=folder, text=True, check=True, capture_output=True)
