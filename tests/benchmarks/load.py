"""Load by wrk, from core 1, with 32 connections."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import Running

CONNECTIONS = 32
COUNT = Path(__file__).with_name("count.lua")
POST = Path(__file__).with_name("post.lua")
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class NoLoad(Exception):
    """wrk could not do its work: the server has ended, say."""


class Load(NamedTuple):
    """What one run of wrk has met, and what it has cost the server."""

    answers: int
    failed: int
    """Answers from 400 up, and those that did not come."""
    seconds: float
    p99: float
    """Milliseconds."""
    cpu: float
    """Seconds of all processes of the server."""
    refused: int = 0
    """Answers from 400 up."""

    @property
    def good(self) -> int:
        return max(0, self.answers - self.failed)


def order(size: int) -> bytes:
    """An order of about so many bytes of JSON, as benchmarks.apis has it."""
    line = {"article": "a hat of felt, in green", "count": 3, "price": 19.5}
    lines = [line] * max(1, size // len(json.dumps(line)))
    return json.dumps({"number": 7, "customer": "Ada", "lines": lines}).encode()


def load(
    running: Running,
    path: str,
    headers: Mapping[str, str],
    seconds: int,
    body: bytes = b"",
    *,
    refused: bool = False,
) -> Load:
    """So many seconds of one request over and over.

    Args:
        body: What is sent by POST. Empty: it is a GET.
        refused: Whether the answers that count are those from 400 up.
    """
    if not body:
        found = _wrk(running, path, headers, [f"-d{seconds}s"], [])
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            found = _wrk(running, path, headers, [f"-d{seconds}s", "-s", str(POST)], ["--", file.name])
    return found._replace(failed=found.answers - found.refused) if refused else found


def load_requests(running: Running, path: str, headers: Mapping[str, str], requests: int) -> Load:
    """As many requests, or what can be answered in two minutes."""
    return _wrk(running, path, headers, ["-d120s", "-s", str(COUNT)], ["--", str(requests)], counts=True)


def _wrk(
    running: Running,
    path: str,
    headers: Mapping[str, str],
    options: list[str],
    after: list[str],
    *,
    counts: bool = False,
) -> Load:
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    url = f"http://127.0.0.1:{running.port}{path}"
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", "--latency", *given, *options, url, *after]
    before = running.cpu()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as wrk:
        try:
            if counts and wrk.stderr and wrk.stderr.readline() == "enough\n":
                wrk.send_signal(signal.SIGINT)
            text, errors = wrk.communicate()
        except BaseException:
            wrk.kill()
            raise
    if wrk.returncode:
        raise NoLoad(f"wrk ended with {wrk.returncode}: {(errors or text).strip()}")
    return parsed(text, running.cpu() - before)


def parsed(text: str, cpu: float) -> Load:
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    if total is None or p99 is None:
        raise NoLoad(f"wrk said something else: {text!r}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    missing = sum(map(int, errors.groups())) if errors else 0
    return Load(
        answers=int(total[1]) + missing,
        failed=(int(refused[1]) if refused else 0) + missing,
        refused=int(refused[1]) if refused else 0,
        seconds=float(total[2]) * UNITS[total[3]] / 1000,
        p99=float(p99[1]) * UNITS[p99[2]],
        cpu=cpu,
    )
