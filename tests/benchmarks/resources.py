"""What resources cost: `python tests/benchmarks/resources.py [--rounds 60] [--starts 7] [--write docs/benchmarks.md]`.

Lists on SQLite and on PostgreSQL, each in one process (resource_lists.py), and the start of an API of 50 models in
processes of its own (resource_start.py). All rounds are interleaved. A ratio is made in each round: told are its median
and, of all rounds, the middle four fifths.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "src")]

from benchmarks import machine  # noqa: E402
from harness import PYTHONPATH, postgres  # noqa: E402

DATABASES = ("PostgreSQL", "SQLite")
BY_HAND = "endpoint by hand, read()"
ROUTERS = ("ModelRouter, Cursor", "ModelRouter, LimitOffset")
EVERY = ', filters="all"'
PEERS = {"django-ninja, FilterSchema, WSGI": 2.5, "DRF, django-filter, WSGI": 3.0}
PACKAGES = ["djfast-mount", "Django", "fastapi", "pydantic", "psycopg"]
PACKAGES += ["django-ninja", "djangorestframework", "django-filter"]
START = ("models alone", "schemas", "routers that read", "routers that write", "the same routes by hand")
_BETWEEN = re.compile(r"<!-- resources -->\n.*?<!-- end of resources -->", re.DOTALL)
PLACE = "<!-- resources -->\n<!-- end of resources -->"
"""Where a page has the figures."""

TEXT = """\
## Resources of models

Written by `{command}`.

**Lists.** The first 100 of {companies} companies, each with its 5 departments, are read and written as JSON: 600 rows.
The table has the CPU time of one process for a request, from the ASGI or the WSGI call to the last byte of the answer,
without a server. It is the median of {rounds} interleaved rounds. The ratios are those to the endpoint by hand in the
same round: the median, and the middle four fifths of the rounds. All contenders answer the same rows. "By hand" is an
endpoint of the mounted app that returns `CompanySchema.read(...)`. In the lower half, three filters are sent that every
row passes: `{filters}`. With `filters="all"` a list has {parameters} parameters.
django-ninja and DRF have three filters, pages by limit and offset with their count, prefetched departments and no
middleware.

{lists}

**Targets.** Here a ratio is one of two contenders in the same round, and the last rows say how much more than the
endpoint by hand a list costs.

{targets}

**Start.** CPU time of a process with 50 models, from its first line until the app is ready, and until its first answer:
the median of {starts} interleaved starts, and the smallest and largest difference of one round. Half of the models have
a relation to many that their schema shows. Routers that write have `create`, `update` and `delete`: 12 routes each.
"By hand" are 50 of FastAPI's routers with the same 600 routes, whose functions do nothing. FastAPI reads the routes of
an included router twice. The target is that routers add less than 1 s.

{start}

{machine}"""


@contextmanager
def database(name: str) -> Iterator[str]:
    """Yields the URL of an empty database."""
    if name == "PostgreSQL":
        with postgres() as url:
            yield url
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/resources.sqlite3"


def child(url: str, module: str, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": PYTHONPATH, "DATABASE_URL": url}
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    # The log warns of routers that let everybody write, as these do.
    done = subprocess.run(command, cwd=TESTS, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed: {done.stderr[-3000:]}")
    return done.stdout.splitlines()[-1]


class Lists:
    """What lists cost on one database, by contender and by whether filters were sent."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.parameters: int = found["parameters"]
        self.filters: str = found["filters"]
        self._us = {(each["name"], each["filtered"]): each["us"] for each in found["contenders"]}

    def contenders(self) -> list[tuple[str, bool]]:
        return sorted(self._us, key=lambda each: each[1])

    def microseconds(self, name: str, filtered: bool) -> float:
        return statistics.median(self._us[name, filtered])

    def ratio(self, one: str, other: str, filtered: bool) -> tuple[float, float, float]:
        pairs = zip(self._us[one, filtered], self._us[other, filtered], strict=True)
        ratios = sorted(above / below for above, below in pairs)
        tenths = statistics.quantiles(ratios, n=10)
        return statistics.median(ratios), tenths[0], tenths[-1]


def told(ratio: tuple[float, float, float]) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*ratio)


def lists_table(found: dict[str, Lists]) -> str:
    head = ["filters", "contender"]
    for name in found:
        head += [f"{name}, us", f"{name}, times by hand"]
    lines = [head, ["---"] * len(head)]
    for name, filtered in next(iter(found.values())).contenders():
        line = ["three" if filtered else "none", name]
        for each in found.values():
            line += [f"{each.microseconds(name, filtered):.0f}", told(each.ratio(name, BY_HAND, filtered))]
        lines.append(line)
    return _markdown(lines)


def targets_table(found: dict[str, Lists]) -> str:
    lines = [["work", "target", *found], ["---"] * (2 + len(found))]
    for filtered in (False, True):
        sent = "three filters sent" if filtered else "no filter sent"
        for peer, bound in PEERS.items():
            for router in ROUTERS:
                ratios = [each.ratio(peer, router + EVERY, filtered) for each in found.values()]
                work = f"{peer} / {router}{EVERY}, {sent}"
                lines.append([work, f">= {bound:g}", *(_judged(told(each), each[0] >= bound) for each in ratios)])
    for filtered in (False, True):
        sent = "three filters sent" if filtered else "no filter sent"
        for router in ROUTERS:
            ratios = [each.ratio(router + EVERY, BY_HAND, filtered) for each in found.values()]
            more = [_judged(f"{(each[0] - 1) * 100:.0f} %", each[0] <= 1.1) for each in ratios]
            lines.append([f"{router}{EVERY}, {sent}, more than by hand", "<= 10 %", *more])
    return _markdown(lines)


def _judged(figure: str, reached: bool) -> str:
    return f"{figure}, {'reached' if reached else '**not reached**'}"


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" if line[0] != "---" else f"|{'|'.join(line)}|" for line in lines)


def starts(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """The seconds of each start until the app is ready, and until its first answer, by kind."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in START}
    for number in range(rounds):
        for kind in START if number % 2 else reversed(START):
            ready, answered = child("sqlite://:memory:", "resource_start", kind).split()
            found[kind].append((float(ready), float(answered)))
    return found


def start_table(found: dict[str, list[tuple[float, float]]]) -> str:
    head = ["process", "ready, s", "more than the models alone", "first answer, s", "more than the models alone"]
    lines = [head, ["---"] * len(head)]
    for kind, seconds in found.items():
        line = [kind]
        for moment in (0, 1):
            pairs = zip(seconds, found[START[0]], strict=True)
            more = sorted(one[moment] - other[moment] for one, other in pairs)
            line.append(f"{statistics.median(each[moment] for each in seconds):.2f}")
            added = f"{statistics.median(more):.2f} ({more[0]:.2f} to {more[-1]:.2f})" if kind != START[0] else ""
            line.append(_judged(added, statistics.median(more) < 1) if kind.startswith("routers") else added)
        lines.append(line)
    return _markdown(lines)


def kept(page: str) -> str:
    """What stands on a page of these figures, for those who write the rest of it anew."""
    found = _BETWEEN.search(page)
    return found[0] if found else PLACE


def about(before: str) -> str:
    return "\n".join(
        [
            f"- Processor: {machine.system()}. Python {platform.python_version()}",
            f"- Packages: {machine.packages(PACKAGES)}",
            f"- Load average before {before}, after {machine.load_average()}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--companies", type=int, default=100)
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page that has a place for it")
    options = parser.parse_args()
    before = machine.load_average()
    found = {}
    for name in DATABASES:
        with database(name) as url:
            arguments = ("--rounds", str(options.rounds), "--companies", str(options.companies))
            found[name] = Lists(json.loads(child(url, "resource_lists", *arguments)))
    text = TEXT.format(
        command=machine.command("bench_resources"),
        companies=options.companies,
        rounds=options.rounds,
        starts=options.starts,
        filters=found[DATABASES[0]].filters,
        parameters=found[DATABASES[0]].parameters,
        lists=lists_table(found),
        targets=targets_table(found),
        start=start_table(starts(options.starts)),
        machine=about(before),
    )
    print(text)
    if options.write:
        page = options.write.read_text()
        section = f"<!-- resources -->\n{text}\n<!-- end of resources -->"
        options.write.write_text(_BETWEEN.sub(lambda _: section, page))


if __name__ == "__main__":
    main()
