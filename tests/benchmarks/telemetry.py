"""What telemetry costs a server in CPU time, off and on, interleaved: `python tests/benchmarks/telemetry.py`.

Processes of uvicorn serve the same site, two of them without telemetry. In each round each is asked in turn, in the
opposite order every other round, and the time that the system has counted for all its threads is divided by its
requests, as getrusage() does it for a process of one's own. It is divided by the mean of the two processes without
telemetry in the same round. Told are the median of these ratios and the interval that holds the true median with 95 %
probability. One process is faster than another of the same kind, by its place in memory say, so all are started anew
for each block of rounds. How far the two without telemetry are apart shows how much of a ratio is noise.
"""

from __future__ import annotations

import argparse
import math
import socket
import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "src")]

from harness import Server  # noqa: E402

REQUESTS = {"/api/hello": 100, "/plain/": 50, "/api/count": 50}
KINDS = {"off": "off", "off again": "off", "on": "on", "on, without ids": "without ids", "on, with the page": "page"}
REFERENCES = ("off", "off again")


def ask(connection: socket.socket, path: str, times: int) -> None:
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\nuser-agent: bench\r\n\r\n".encode()
    for _ in range(times):
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = connection.recv(65536)
            assert more, "the server has closed the connection"
            answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 200 " in head[:16], answer[:400]
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)


def cpu_of(pid: int) -> float:
    """Returns the seconds for which the threads of a process have run."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def interval_of_median(values: list[float]) -> tuple[float, float, float]:
    """Returns the median and the bounds that hold the true one with 95 % probability, by the ranks of `values`."""
    ranked = sorted(values)
    aside = 0.98 * math.sqrt(len(ranked))
    low = max(0, math.floor(len(ranked) / 2 - aside))
    high = min(len(ranked) - 1, math.ceil(len(ranked) / 2 + aside))
    return statistics.median(ranked), ranked[low], ranked[high]


def measure(servers: Mapping[str, Server], path: str, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of CPU time that a request has cost each server, round by round."""
    found: dict[str, list[float]] = {name: [] for name in servers}
    with ExitStack() as stack:
        connections = {
            name: stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for name, server in servers.items()
        }
        for connection in connections.values():
            ask(connection, path, 200)
        for number in range(rounds):
            for name in list(servers) if number % 2 else reversed(servers):
                pid = servers[name].process.pid
                before = cpu_of(pid)
                ask(connections[name], path, REQUESTS[path])
                found[name].append((cpu_of(pid) - before) / REQUESTS[path])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=20, help="of each block")
    parser.add_argument("--only", choices=REQUESTS, help="the path that is asked; without it all are, one by one")
    arguments = parser.parse_args()
    paths = [path for path in REQUESTS if arguments.only in (None, path)]
    found: dict[str, dict[str, list[float]]] = {path: {name: [] for name in KINDS} for path in paths}
    for _ in range(arguments.blocks):
        with ExitStack() as stack:
            servers = {name: stack.enter_context(serving(kind)) for name, kind in KINDS.items()}
            for path in paths:
                for name, values in measure(servers, path, arguments.rounds).items():
                    found[path][name] += values
    for path, values_of in found.items():
        tell(path, values_of)


def serving(kind: str) -> Server:
    # A server whose turn is long in coming must not close its connection.
    options = ("--no-access-log", "--timeout-keep-alive", "600")
    return Server("telemetry_bench_site:app", *options, env={"TELEMETRY": kind, "PYTHONHASHSEED": "0"})


def tell(path: str, found: Mapping[str, list[float]]) -> None:
    without = [statistics.mean(pair) for pair in zip(*(found[name] for name in REFERENCES), strict=True)]
    for name, values in found.items():
        ratios = [value / reference for value, reference in zip(values, without, strict=True)]
        median, low, high = interval_of_median(ratios)
        print(f"{path}, {name}: {statistics.median(values) * 1e6:.1f} us, {median:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
