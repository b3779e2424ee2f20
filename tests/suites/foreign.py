"""The suites of others: fetched as a source distribution, run with their apps mounted, judged by a plain run.

exclusions.toml, beside each suite's run.py, has a table for each way in which a test is not like the rest. Keys are
patterns of test ids, values the reasons:

    [excluded]    fails mounted, and may; one that passes after all must be taken off the list
    [sometimes]   fails mounted where the machine is fast enough, and may
    [unprefixed]  its app is mounted as ever, but handed the path and the root_path of a host's root
    [plain]       its requests do not go through the root

A reason begins with its kind: a row of docs/differences.md, which is read here.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

SUITES = Path(__file__).parent
DIFFERENCES = SUITES.parents[1] / "docs" / "differences.md"
CACHE = SUITES.parents[1] / ".nox" / "suites"


def source(name: str) -> Path:
    """Returns the unpacked source distribution of the installed release of `name`."""
    release = version(name)
    folder = CACHE / f"{name}-{release}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            pip("download", "--no-deps", "--no-binary", ":all:", "--dest", scratch, f"{name}=={release}")
            (archive,) = Path(scratch).glob("*.tar.gz")
            with tarfile.open(archive) as sources:
                sources.extractall(scratch, filter="data")
            (unpacked,) = (path for path in Path(scratch).iterdir() if path.is_dir())
            unpacked.rename(folder)
    # Python would take the package that lies beside its tests for the installed one.
    package = folder / name
    if package.exists():
        package.rename(folder / f".{name}")
    return folder


def exclusion_files(suite: str) -> list[Path]:
    """exclusions.toml, and what differs at the root of the host, with the defaults of `mount()`, or by its handler."""
    names = ["exclusions.toml"]
    names += ["exclusions_at_root.toml"] * (os.environ.get("FOREIGN_PLACE") == "root")
    names += ["exclusions_with_defaults.toml"] * (os.environ.get("FOREIGN_SETTINGS") == "defaults")
    names += ["exclusions_of_one_hop.toml"] * (os.environ.get("FOREIGN_HANDLER") != "django")
    return [SUITES / suite / name for name in names]


def kinds_of_differences() -> set[str]:
    """The first column of the table in docs/differences.md."""
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", DIFFERENCES.read_text(), re.MULTILINE))


def pip(*arguments: str) -> None:
    """Runs pip for this interpreter's environment."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


class Exclusions:
    """The tables of one suite's exclusions.toml."""

    def __init__(self, *files: Path) -> None:
        self.tables: dict[str, dict[str, str]] = {}
        for file in files:
            for table, patterns in (tomllib.loads(file.read_text()) if file.exists() else {}).items():
                self.tables.setdefault(table, {}).update(patterns)

    def find(self, test: str) -> tuple[str, str] | None:
        """Returns the first table that names `test`, and the pattern by which it does."""
        for table, patterns in self.tables.items():
            for pattern in patterns:
                # Square brackets hold the parameters of a test, not a set of characters.
                if fnmatch.fnmatchcase(test, pattern.replace("[", "[[]")):
                    return table, pattern
        return None

    def of_no_kind(self, kinds: set[str]) -> list[str]:
        """The patterns whose reasons name none of `kinds`."""
        reasons = (item for patterns in self.tables.values() for item in patterns.items())
        return sorted(pattern for pattern, reason in reasons if reason.partition(":")[0] not in kinds)

    def excludes(self, test: str, *tables: str) -> bool:
        """Whether `test` is in one of `tables`; where none is named, whether it may fail."""
        found = self.find(test)
        return found is not None and found[0] in (tables or ("excluded", "sometimes"))


@dataclass
class Results:
    """The outcomes of a run by test id (``passed``, ``failed``, ``skipped``, ``xfailed``), and what it counted."""

    outcomes: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, outcome: str) -> set[str]:
        return {test for test, its in self.outcomes.items() if its == outcome}


def run(suite: str, mode: str, command: list[str], folder: Path) -> Results:
    """Runs `command` in `folder`; `mode` is ``plain``, ``mounted``, or ``own`` for Django's own ASGI handler.

    The plugin that it loads writes the results.
    """
    with tempfile.TemporaryDirectory(prefix="djfast-mount-suite-") as scratch:
        file = Path(scratch, "results.json")
        environment = {
            **os.environ,
            "FOREIGN_EXCLUSIONS": os.pathsep.join(map(str, exclusion_files(suite))),
            "FOREIGN_SUITE": suite,
            "FOREIGN_MODE": mode,
            "FOREIGN_RESULTS": str(file),
            "FOREIGN_SCRATCH": scratch,
            "PYTHONPATH": os.pathsep.join([str(SUITES), str(SUITES / suite), os.environ.get("PYTHONPATH", "")]),
        }
        subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=False)
        if not file.exists():
            raise SystemExit(f"The {mode} run of {suite} ended without results.")
        return Results(**json.loads(file.read_text()))


def check_kinds(suite: str) -> None:
    """Ends the run if an exclusion names no row of docs/differences.md."""
    if untold := Exclusions(*exclusion_files(suite)).of_no_kind(kinds_of_differences()):
        raise SystemExit(f"{DIFFERENCES} does not tell of these: {', '.join(untold)}")


def verdict(suite: str, plain: Results, mounted: Results, *, floor: float, own: Results | None = None) -> int:
    """Prints the outcome and returns the exit status.

    Args:
        plain: What the tests that fail mounted do without us; it may hold more.
        floor: The share of the requests that must have gone through the root, those of tests listed as plain aside.
        own: What the tests that fail mounted do with Django's own ASGI handler in the place of the root.
    """
    exclusions = Exclusions(*exclusion_files(suite))
    healthy = plain.of("passed")
    missing = healthy - mounted.outcomes.keys()
    # A test whose class could not be set up has no outcome.
    lost_by_asgi = healthy - mounted.of("passed") - own.of("passed") if own else set()
    healthy -= lost_by_asgi
    missing -= lost_by_asgi
    bad = {test for test in (mounted.of("failed") | missing) & healthy if not exclusions.excludes(test)}
    stale = {test for test in mounted.of("passed") | lost_by_asgi if exclusions.excludes(test, "excluded")}
    for title, tests in (("FAILED", bad), ("PASSED, or lost without us, yet excluded", stale)):
        for test in sorted(tests):
            print(f"{title}: {test}")  # noqa: T201
    requests, rooted = mounted.counts.get("requests", 0), mounted.counts.get("through the root", 0)
    listed = mounted.counts.get("of plain tests", 0)
    low = rooted < floor * (requests - listed) or not rooted
    excluded = sum(map(exclusions.excludes, mounted.of("failed")))
    without_us = len(mounted.of("failed")) - len(bad - missing) - excluded
    said_of_own = f", of which {len(lost_by_asgi)} with Django's own ASGI handler" if own else ""
    print(  # noqa: T201
        f"{suite}: {rooted} of {requests} requests went through the root{', too few' if low else ''}, "
        f"{mounted.counts.get('by a plan', 0)} by a plan, "
        f"{listed} are of tests listed as plain; "
        f"excluded {excluded}, failing without us too {without_us}"
        f"{said_of_own}\n"
        f"{suite}: {len(mounted.of('passed'))} passed, {len(bad)} failed, "
        f"{len(mounted.of('skipped')) + len(mounted.of('xfailed'))} skipped"
    )
    return int(bool(bad or stale or low))


def run_pytest(suite: str, folder: Path, *options: str, floor: float) -> int:
    """Runs a pytest suite mounted, and what fails there plain as well. Returns the exit status.

    A test that fails mounted and passes plain is tried once more, alone: a busy machine is not to be taken for a fault.
    """
    check_kinds(suite)
    command = ["-m", "pytest", "-p", "mounted_testclient", "-p", "no:cacheprovider", "-q", "--tb=short", *options]
    mounted = run(suite, "mounted", [*command, "-n", "2", "tests"], folder)
    exclusions = Exclusions(*exclusion_files(suite))
    failed = sorted(test for test in mounted.of("failed") if not exclusions.excludes(test))
    if not failed:
        return verdict(suite, Results(), mounted, floor=floor)
    plain = run(suite, "plain", [*command, *failed], folder)
    again = sorted(set(failed) & plain.of("passed"))
    if again:
        mounted.outcomes.update(run(suite, "mounted", [*command, *again], folder).outcomes)
    return verdict(suite, plain, mounted, floor=floor)
