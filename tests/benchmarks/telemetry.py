"""What telemetry costs a server in CPU time, off and on, interleaved: `python tests/benchmarks/telemetry.py`.

Processes of uvicorn serve the same site. Each is asked in turn, round after round, and the time that the system has
counted for it is divided by its requests. The least of all rounds is told, and its ratio to that without telemetry.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "src")]

from harness import Server  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "12"))
REQUESTS = {"/api/hello": 1500, "/plain/": 500, "/api/count": 500}
KINDS = {"off": "off", "on": "on", "on, without ids": "bare"}


def ask(port: int, path: str, times: int) -> None:
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\nuser-agent: bench\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(times):
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b" 200 " in head[:16], answer[:400]
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)


def cpu_of(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def main() -> None:
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(Server("telemetry_bench_site:app", "--no-access-log", env={"TELEMETRY": kind}))
            for name, kind in KINDS.items()
        }
        for server in servers.values():
            server.wait_until_ready(timeout=60)
        for path, times in REQUESTS.items():
            least = dict.fromkeys(servers, 1e9)
            for server in servers.values():
                ask(server.port, path, 200)
            for _ in range(ROUNDS):
                for name, server in servers.items():
                    before = cpu_of(server.process.pid)
                    ask(server.port, path, times)
                    least[name] = min(least[name], (cpu_of(server.process.pid) - before) / times)
            for name, value in least.items():
                print(f"{path}, {name}: {value * 1e6:.1f} us ({value / least['off']:.3f})")


if __name__ == "__main__":
    main()
