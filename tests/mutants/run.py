"""`nox -s mutants`: faults that somebody might make, put into a copy of the code. Each must be caught by a test.

    nox -s mutants -- hosts garbage     # those alone whose file or description has one of the words
    nox -s mutants -- --part 2/3        # the second third of the list

mutants.toml has the list. Status 1 where one survives, or where the code that it changes has moved. As many are tried
at a time as the machine has cores, each in a copy of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


def listed(words: list[str], part: str) -> list[Mutant]:
    known = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())["mutant"]
    mutants = [Mutant(**each) for each in known]
    which, of = map(int, part.split("/"))
    return [each for each in mutants if not words or any(word in f"{each.file} {each.what}" for word in words)][
        which - 1 :: of
    ]


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


class Trials:
    """Copies of the repository, one for each trial that runs at a time, and how long the tests take without a fault."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for folder in folders:
            self._folders.put(folder)
        self._seconds: dict[tuple[str, ...], float | None] = {}
        self._locks: dict[tuple[str, ...], threading.Lock] = {}

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        folder = self._folders.get()
        try:
            yield folder
        finally:
            self._folders.put(folder)

    def seconds(self, folder: Path, tests: list[str]) -> float | None:
        """What the tests take as the code is; None: they fail. Several mutants may have the same."""
        key = tuple(tests)
        with self._locks.setdefault(key, threading.Lock()):
            if key not in self._seconds:
                began = time.monotonic()
                passed = status(folder, tests, told=True) == PASSED
                self._seconds[key] = time.monotonic() - began if passed else None
            return self._seconds[key]

    def fate(self, mutant: Mutant) -> str:
        with self.folder() as folder:
            file = folder / SOURCE / mutant.file
            text = file.read_text() if file.exists() else ""
            if text.count(mutant.old) != 1:
                return f"MOVED: {mutant.old!r} stands {text.count(mutant.old)} times in it"
            seconds = self.seconds(folder, mutant.tests)
            if seconds is None:
                return "NOT TRIED: the tests fail as it is"
            try:
                file.write_text(text.replace(mutant.old, mutant.new))
                ended = status(folder, mutant.tests, limit=60 + PATIENCE * seconds)
            finally:
                file.write_text(text)
        return {FAILED: "caught", PASSED: "SURVIVED"}.get(ended, f"NOT TRIED: pytest ended with {ended}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    mutants = listed(asked.words, asked.part)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="djfast-mount-mutants-") as name:
        folders = [Path(name, str(number)) for number in range(asked.jobs)]
        for folder in folders:
            copy(folder)
        with ThreadPoolExecutor(asked.jobs) as executor:
            for mutant, found in zip(mutants, executor.map(Trials(folders).fate, mutants), strict=True):
                bad += found != "caught"
                print(f"{found:8} {mutant.file}: {mutant.what}", flush=True)
    print(f"{len(mutants) - bad} passed, {bad} failed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
