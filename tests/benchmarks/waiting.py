"""psycopg without a framework and without a server: what threads that only wait in the database can do on a machine.

`python -m benchmarks.waiting SECONDS` prints a `Load` as JSON. It makes the connections anew each time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from statistics import quantiles

import psycopg

from benchmarks.load import Load, NoLoad
from benchmarks.rows import WAIT
from benchmarks.servers import TESTS, THREADS


def waiting(env: Mapping[str, str], seconds: int) -> Load:
    """Measures in a process of its own, on the core that servers have."""
    command = ["taskset", "-c", "0", sys.executable, "-m", "benchmarks.waiting", str(seconds)]
    done = subprocess.run(command, cwd=TESTS, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NoLoad(f"psycopg alone ended with {done.returncode}")
    return Load(*json.loads(done.stdout))


def wait(barrier: threading.Barrier, seconds: float, took: list[float]) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        barrier.wait()
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.execute("SELECT pg_sleep(%s)", [WAIT]).fetchall()
            took.append(time.perf_counter() - began)


def main(seconds: float) -> Load:
    took: list[float] = []
    barrier = threading.Barrier(THREADS + 1)
    threads = [threading.Thread(target=wait, args=(barrier, seconds, took)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for thread in threads:
        thread.join()
    passed, since = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = since.ru_utime + since.ru_stime - used.ru_utime - used.ru_stime
    return Load(len(took), 0, passed, quantiles(took, n=100)[98] * 1000, cpu)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(float(sys.argv[1]))))
