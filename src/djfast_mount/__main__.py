"""`python -m djfast_mount startproject NAME [DIRECTORY]`: a project with both halves, that runs at once."""

from __future__ import annotations

import sys
from pathlib import Path

from django.core.management import execute_from_command_line

TEMPLATE = Path(__file__).parent / "project_template"
_USAGE = "usage: python -m djfast_mount startproject NAME [DIRECTORY]"


def main(arguments: list[str]) -> int:
    """Runs Django's `startproject` with our template. Returns the exit status; Django's own errors end the process."""
    if not arguments or arguments[0] != "startproject":
        print(_USAGE, file=sys.stderr)  # noqa: T201
        return 2
    rendered = ["--template", str(TEMPLATE), "--extension", "py,toml,md", "--name", "Dockerfile"]
    execute_from_command_line(["python -m djfast_mount", "startproject", *rendered, *arguments[1:]])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
