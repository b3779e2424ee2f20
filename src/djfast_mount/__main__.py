"""A new project with both halves: `python -m djfast_mount startproject NAME [DIRECTORY]`."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

TEMPLATE = Path(__file__).parent / "project_template"

NEXT = """\
{name} is there. Start it with:

    {cd}{python} -m pip install --editable ".[dev]"
    {python} manage.py migrate
    {python} manage.py runserver

Run its tests with either of these:

    {python} manage.py test
    {python} -m pytest

README.md says more.
"""


def main(arguments: list[str]) -> int:
    """Runs Django's `startproject` with our template, and prints what to do next. Returns the exit status.

    Errors in the arguments, and Django's own, end the process.
    """
    given = _parser().parse_args(arguments)
    place = [given.name] if given.directory is None else [given.name, given.directory]
    # Django renders files with these endings alone; Docker's have none.
    rendered = ["--template", str(TEMPLATE), "--extension", "py,toml,md", "--name", "Dockerfile,.dockerignore"]
    execute_from_command_line(["python -m djfast_mount", "startproject", *rendered, *place])
    folder = given.directory or given.name
    cd = "" if Path(folder).resolve() == Path.cwd() else f"cd {shlex.quote(folder)}\n    "
    print(NEXT.format(name=given.name, cd=cd, python=_python()), end="")  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m djfast_mount", description="FastAPI and Django as one ASGI app.")
    commands = parser.add_subparsers(required=True, metavar="startproject")
    start = commands.add_parser("startproject", description="Writes a project with an API, a site and its admin.")
    start.add_argument("name", metavar="NAME", help="of the project, and of the package that its settings are in")
    start.add_argument("directory", metavar="DIRECTORY", nargs="?", help="where it is written; NAME if left out")
    return parser


def _python() -> str:
    """The shortest command that runs this very interpreter: a machine may have no `python`, or another."""
    folder = Path(sys.executable).parent
    for command in ("python", "python3"):
        # By the folder: in an environment several names are links to one interpreter, and so are those of two.
        if (found := shutil.which(command)) is not None and Path(found).parent == folder:
            return command
    return shlex.quote(sys.executable)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
