"""What a run has run on, and the page that it writes."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = [
    *("djfast-mount", "Django", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "asgiref", "anyio"),
    *("psycopg", "gunicorn", "whitenoise", "servestatic", "blacknoise"),
    *("django-ninja", "djangorestframework", "django-bolt"),
]

PAGE = """\
# Benchmarks

Written by `{command}`. Figures are medians of the rounds, ratios medians of the ratios within each round, with the
smallest and the largest beside them; those are what counts, for the machine may be another from round to round.

Each server has core 0, wrk core 1 with 32 connections; PostgreSQL runs where it finds time. Servers are started for
each row, warmed up for a second, and loaded in turns. The processor's time is that of all processes of the server.
"mounted: rate" is how many times the requests per second of that server the mounted app answers, "mounted: CPU" how
many times less of the processor it needs for one: above 1 the mounted app is better. "Nothing added" is without what
FastAPI alone has not: Host check, body limit, Django's security headers. "Bytes from memory" are sent with as many
headers as the mounted app and WhiteNoise send. "psycopg alone" is no server: threads that send the statement that
waits, one after another, and so what the machine allows of the ideal. Files are read from memory by the mounted app,
from the disk by the others. An API call goes through no Django middleware in the mounted app, django-bolt, FastAPI
alone and the hand-made Mount; through the seven of Django's project template in django-ninja and DRF, where no line
says otherwise. Where answers failed, what counts is the good ones. Connections are those that the server holds in
PostgreSQL at the end; each may have 97. They are persistent but under Django ASGI and in the hand-made Mount, where
Django's documentation wants them not to be; the pool that it recommends instead, of psycopg, was not measured.

{report}

{machine}
"""


def command() -> str:
    return shlex.join(["nox", "-s", "bench", *(["--", *sys.argv[1:]] if sys.argv[1:] else [])])


def load_average() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor() or platform.machine()


def packages() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def machine(postgresql: str, before: str) -> str:
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split(" [")[0].strip()
    lines = [
        f"Processor: {processor()}, {os.cpu_count()} cores. {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, PostgreSQL {postgresql}, {wrk}",
        f"Packages: {packages()}",
        f"Load average before {before}, after {load_average()}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def page(report: str, about: str) -> str:
    return PAGE.format(command=command(), report=report, machine=about)
