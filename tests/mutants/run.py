"""`nox -s mutants`: faults that somebody might make, put into a copy of the code. Each must be caught by a test.

    nox -s mutants -- hosts garbage     # those alone whose file or description has one of the words

mutants.toml has the list. Status 1 where one survives, or where the code that it changes has moved.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[2]
SOURCE = "src/djfast_mount"
# pytest's status where tests failed, and where none did.
FAILED, PASSED = 1, 0
# A test that never ends counts as one that failed: after so many times what the tests take without the fault.
PATIENCE = 5


class Mutant(NamedTuple):
    what: str
    file: str
    old: str
    new: str
    tests: list[str]


def listed(words: list[str]) -> list[Mutant]:
    known = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())["mutant"]
    mutants = [Mutant(**each) for each in known]
    return [each for each in mutants if not words or any(word in f"{each.file} {each.what}" for word in words)]


def copy(folder: Path) -> None:
    """The files that git knows or would take."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, names.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((REPOSITORY / name).read_bytes())


def status(folder: Path, tests: list[str], *, limit: float | None = None, told: bool = False) -> int:
    """Of pytest, for which the folder's own `src` comes first, and for the processes of its tests too.

    Its output is shown where it is `told`, or has no result.

    Args:
        limit: Seconds; None: no limit.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "long or not long", "-p", "no:cacheprovider", *tests]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(folder / part) for part in ("src", "tests", "tests/support")),
    }
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return FAILED
    if (told and done.returncode != PASSED) or done.returncode not in (FAILED, PASSED):
        print(done.stdout.decode()[-3000:])
    return done.returncode


def fate(folder: Path, mutant: Mutant) -> str:
    file = folder / SOURCE / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        return f"MOVED: {mutant.old!r} stands {text.count(mutant.old)} times in it"
    began = time.monotonic()
    if status(folder, mutant.tests, told=True) != PASSED:
        return "NOT TRIED: the tests fail as it is"
    limit = 60 + PATIENCE * (time.monotonic() - began)
    try:
        file.write_text(text.replace(mutant.old, mutant.new))
        ended = status(folder, mutant.tests, limit=limit)
    finally:
        file.write_text(text)
    return {FAILED: "caught", PASSED: "SURVIVED"}.get(ended, f"NOT TRIED: pytest ended with {ended}")


def main(words: list[str]) -> int:
    mutants = listed(words)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="djfast-mount-mutants-") as name:
        folder = Path(name)
        copy(folder)
        for mutant in mutants:
            found = fate(folder, mutant)
            bad += found != "caught"
            print(f"{found:8} {mutant.file}: {mutant.what}", flush=True)
    print(f"{len(mutants) - bad} passed, {bad} failed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
