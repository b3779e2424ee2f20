"""Starlette's own tests, with its apps mounted.

python tests/suites/starlette/run.py     in an environment that has djfast_mount
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import foreign


def main() -> int:
    release = f"starlette[full]=={version('starlette')}"
    folder = foreign.source("starlette")
    group = f"{folder / 'pyproject.toml'}:dev"
    foreign.pip("install", release, "--group", group, "pytest-timeout", "pytest-xdist")
    # A test that hangs ends its worker, and no other test.
    options = ["-p", "no:asyncio", "-o", "timeout_method=thread", "--timeout", "60"]
    # Half of the tests run on trio, where there is no root.
    return foreign.run_pytest("starlette", folder, *options, floor=0.95)


if __name__ == "__main__":
    sys.exit(main())
