"""What a run has run on, and the page that it writes."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = [
    *("djfast-mount", "Django", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "asgiref", "anyio"),
    *("psycopg", "gunicorn", "whitenoise", "servestatic", "blacknoise"),
    *("django-ninja", "djangorestframework", "django-bolt"),
]

HALT_POLL = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
"""How long an idle core of a virtual machine looks for work before it gives itself back to the host."""
POLLED = 2_000_000  # nanoseconds: longer than the pauses between two requests

POLLS = f"""\
**Idle cores.** In a virtual machine an idle core gives itself back to the host. Waking it costs the process that wakes
it: about 8 us of the server's CPU time for each write that wakes wrk. That is no work of the server, so idle cores look
for work for {POLLED // 1_000_000} ms before they sleep
(`{HALT_POLL}`). This holds for all servers alike, and for PostgreSQL. Without it
the ratios of the fast rows are smaller: 1.9 in the place of 2.1 for "API async endpoint"."""
SLEEPS = f"""\
**Idle cores** sleep as the kernel has it, because this file could not be written:
`{HALT_POLL}`. In a virtual machine the server also pays for waking wrk's core,
with each write."""

PAGE = """\
# Benchmarks

Written by `{command}`.

The rates and the CPU times are those of all rounds together. The 99th percentile is the median of the rounds. A ratio
is one figure of this table divided by another. Beside it stand the smallest and the largest ratio of a single round.
Compare the ratios and not the figures, because the machine may be slower in one round than in another.

**How it is measured.** Each server runs on core 0. wrk runs on core 1 and opens 32 connections. PostgreSQL runs on both
cores. The servers of a row are started, warmed up for a second, and then loaded in turns. CPU time is that of all
processes of a server. Failed answers are not counted.

{cores}

**The ratios.** "mounted: rate" is the rate of the mounted app divided by that of the server in this row. "mounted: CPU"
is the CPU time per request of that server divided by that of the mounted app. If a ratio is above 1, the mounted app is
better.

**The rows.** "Nothing added" is the mounted app without Host check, body limit and Django's security headers, because
FastAPI alone has none of them. "Bytes from memory" is an app that sends the bytes of the file with as many headers as
the mounted app and WhiteNoise. "The query alone" and "the async query alone" are ASGI functions that count the groups
on 8 threads, as the endpoint does, and answer. They have no framework, send no signals and look at no connection, so
they show what Django's ORM costs by itself. "psycopg alone" is not a server: its threads send the waiting statement
again and again, so it shows the most that the machine can do. The mounted app reads files from memory, and the other
servers read them from the disk.

**Middleware.** API calls pass no Django middleware in the mounted app, django-bolt, FastAPI alone and the hand-made
Mount. In django-ninja and DRF they pass the seven of Django's project template, unless the row says otherwise.

**Connections** are those to PostgreSQL at the end of a row. Each server may open 97. They are persistent, except in
Django ASGI and in the hand-made Mount, because Django's documentation advises against persistent connections there. It
recommends psycopg's pool instead, which was not measured.

{report}

{machine}

{resources}
"""


def command(session: str = "bench") -> str:
    return shlex.join(["nox", "-s", session, *(["--", *sys.argv[1:]] if sys.argv[1:] else [])])


def load_average() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor() or platform.machine()


def system() -> str:
    return f"{processor()}, {os.cpu_count()} cores. {platform.system()} {platform.release()}"


def packages(names: Iterable[str] = PACKAGES) -> str:
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def machine(postgresql: str, before: str) -> str:
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split(" [")[0].strip()
    lines = [
        f"Processor: {system()}",
        f"Python {platform.python_version()}, PostgreSQL {postgresql}, {wrk}",
        f"Packages: {packages()}",
        f"Load average before {before}, after {load_average()}",
    ]
    return "\n".join(f"- {line}" for line in lines)


@contextmanager
def halt_polling() -> Iterator[str]:
    """Has idle cores of a virtual machine look for work before they sleep. Yields what the page says of that."""
    try:
        before = HALT_POLL.read_text()
        HALT_POLL.write_text(str(POLLED))
    except OSError:
        yield SLEEPS
        return
    try:
        yield POLLS
    finally:
        HALT_POLL.write_text(before)


def page(report: str, about: str, cores: str, resources: str) -> str:
    """The page, with the section that resources.py has written."""
    return PAGE.format(command=command(), cores=cores, report=report, machine=about, resources=resources)
