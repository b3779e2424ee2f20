"""FastAPI's own tests, with its apps mounted: first with plans, then without. FOREIGN_FAST_PATH=1: with plans alone.

python tests/suites/fastapi/run.py     in an environment that has djfast_mount
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import foreign


def main() -> int:
    release = f"fastapi[all]=={version('fastapi')}"
    folder = foreign.source("fastapi")
    foreign.pip("install", release, "--group", f"{folder / 'pyproject.toml'}:tests")
    # A test that hangs ends its worker, and no other test.
    options = ["-p", "no:sugar", "-o", "timeout_method=thread", "--timeout", "60"]
    status = 0
    for fast_path in os.environ.get("FOREIGN_FAST_PATH", "10"):
        os.environ["FOREIGN_FAST_PATH"] = fast_path
        status |= foreign.run_pytest("fastapi", folder, *options, floor=0.95)
    return status


if __name__ == "__main__":
    sys.exit(main())
