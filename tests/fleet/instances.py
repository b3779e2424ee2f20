"""Instances of the quickstart with their workers behind one nginx, as docs/deployment.md has it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from harness import free_port
from nginx import configuration, nginx_command, wait_for
from quickstart_site import QUICKSTART, REPOSITORY, Site

FLEET = Path(__file__).parent
WORKERS = 2
DRAIN = "2"
# A machine with much to do takes more than five seconds to start a worker.
SERVER = ("fleet_site:app", "--workers", str(WORKERS), "--timeout-worker-healthcheck", "60")
SERVER_OPTIONS = "max_fails=1 fail_timeout=1s;"
MASTER = "user root; worker_processes 2;"
# What is told of each request, beside nginx's usual log: which instances were asked, and what each of them answered.
TOLD = """log_format told '$time_local $http_x_request_id "$request" $status in $request_time s, by $upstream_addr: '
    '$upstream_status in $upstream_response_time s';
access_log {folder}/told.log told;
"""
# A second port of nginx's, behind which connections to the instances are kept open.
KEPT = """upstream kept {{
{servers}
    keepalive 8;
}}
"""
NGINX = """#!/bin/sh
exec {command} -p {folder} -e {folder}/error.log -c {folder}/nginx.conf "$@"
"""
# As the service's unit would: SIGTERM, wait for the end, start anew.
SYSTEMCTL = """#!/bin/sh
set -e
port=${{2#site@}}
old=$(cat {folder}/$port.pid)
kill -TERM $old
while kill -0 $old 2> /dev/null; do sleep 0.05; done
cd {quickstart}
{python} -m uvicorn {server} --port $port >> {folder}/$port.log 2>&1 < /dev/null &
echo $! > {folder}/$port.pid
"""


def block(language: str, number: int) -> str:
    """A code block of the page's section on instances."""
    page = (REPOSITORY / "docs" / "deployment.md").read_text()
    section = page.split("## Several workers, several instances\n")[1].split("\n## ")[0]
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return found[number]


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come to be")
        time.sleep(0.05)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30).is_success
    except httpx.TransportError:
        return False


def processes(url: str) -> set[int]:
    """Those of the workers that have answered; with few requests not all of them need have."""
    return {httpx.get(f"{url}/fleet/process", timeout=30).json() for _ in range(20)}


def created(url: str) -> list[str]:
    return [note["title"] for note in httpx.get(f"{url}/api/notes", timeout=60).json()]


class Fleet:
    """Two instances or more with their workers behind nginx, and what a terminal on that machine has."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.env = {**os.environ, **site.env, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        self.ports = [free_port(), free_port()]
        self.port = free_port()
        self.kept_port = free_port()
        self.url, self.kept_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.kept_port}"
        self.nginx: subprocess.Popen[bytes] | None = None
        (folder / "bin").mkdir()
        known = {"folder": folder, "quickstart": QUICKSTART, "python": sys.executable, "server": " ".join(SERVER)}
        for name, text in (("nginx", NGINX), ("systemctl", SYSTEMCTL)):
            (folder / "bin" / name).write_text(text.format(command=nginx_command(), **known))
            (folder / "bin" / name).chmod(0o755)
        http = f"{TOLD.format(folder=folder)}  include {folder}/site.conf;\n  include {folder}/kept.conf;"
        (folder / "nginx.conf").write_text(configuration(folder, MASTER, http))
        upstream, site = self.ours(block("nginx", 0)), self.ours(block("nginx", 1))
        servers = "\n".join(line for line in upstream.splitlines() if line.startswith("    server "))
        (folder / "upstream.conf").write_text(upstream + KEPT.format(servers=servers))
        (folder / "site.conf").write_text(site)
        kept = site[site.index("server {") :].replace(f":{self.port};", f":{self.kept_port};")
        (folder / "kept.conf").write_text(kept.replace("http://site;", "http://kept;"))

    def ours(self, text: str) -> str:
        """What the page says, with the ports and the folder of this test."""
        known = {"8001": str(self.ports[0]), "8002": str(self.ports[1])}
        # In one pass, and before the port of nginx: a port of ours may be one of those of the page, or begin with it.
        text = re.sub(r"\b(8001|8002)\b", lambda found: known[found[0]], text)
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.port};")
        return text.replace("/etc/nginx/upstream.conf", f"{self.folder}/upstream.conf")

    def told(self, number: str) -> str:
        """What nginx has noted of the request with that X-Request-ID."""
        lines = (self.folder / "told.log").read_text().splitlines()
        return "; ".join(line for line in lines if f" {number} " in line) or "nginx has noted nothing of it"

    def unapplied(self) -> int:
        """Of how many different migrations instances have said that they are not applied."""
        logs = "".join((self.folder / f"{port}.log").read_text() for port in self.ports)
        return len(set(re.findall(r"Unapplied migrations in the database [^:]*: (\S+?)[\s\"]", logs)))

    def log(self) -> str:
        return "".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))

    def start_instance(self, port: int) -> None:
        with (self.folder / f"{port}.log").open("a") as log:
            command = [sys.executable, "-m", "uvicorn", *SERVER, "--port", str(port)]
            process = subprocess.Popen(command, cwd=QUICKSTART, env=self.env, stdout=log, stderr=log)
        (self.folder / f"{port}.pid").write_text(str(process.pid))
        # Else it stays a zombie, which `kill -0` takes for a process.
        threading.Thread(target=process.wait, daemon=True).start()

    def start(self) -> None:
        for port in self.ports:
            self.start_instance(port)
        for port in self.ports:
            until(lambda port=port: ready(f"http://127.0.0.1:{port}"), "the instance")  # type: ignore[misc]
        self.nginx = subprocess.Popen([str(self.folder / "bin" / "nginx"), "-g", "daemon off;"], env=self.env)
        wait_for(self.nginx, self.port, self.folder / "error.log")

    def roll(self) -> subprocess.CompletedProcess[str]:
        script = self.ours(block("sh", 0).replace("8001 8002", " ".join(map(str, self.ports))))
        return subprocess.run(
            ["sh", "-ec", script], env=self.env, capture_output=True, text=True, check=False, timeout=300
        )

    def _edit_upstream(self, old: str, new: str) -> None:
        """Change nginx's list of instances, and let nginx read it."""
        path = self.folder / "upstream.conf"
        text = path.read_text()
        if old not in text:
            raise LookupError(f"{old!r} is not in {text}")
        path.write_text(text.replace(old, new))
        subprocess.run([str(self.folder / "bin" / "nginx"), "-s", "reload"], env=self.env, check=True, timeout=60)

    def pid(self, port: int) -> int:
        return int((self.folder / f"{port}.pid").read_text())

    def scale_up(self) -> None:
        """One instance more. nginx hears of it when it is ready."""
        port = free_port()
        self.start_instance(port)
        until(lambda: ready(f"http://127.0.0.1:{port}"), "the new instance")
        last = f"server 127.0.0.1:{self.ports[-1]} {SERVER_OPTIONS}"
        self.ports.append(port)
        self._edit_upstream(last, f"{last}\n    server 127.0.0.1:{port} {SERVER_OPTIONS}")

    def scale_down(self) -> None:
        """The last instance goes: first out of nginx's list, then by SIGTERM."""
        port = self.ports.pop()
        self._edit_upstream(f"\n    server 127.0.0.1:{port} {SERVER_OPTIONS}", "")
        os.kill(self.pid(port), signal.SIGTERM)
        until(lambda: not Path(f"/proc/{self.pid(port)}").exists(), "the end of the instance")

    def kill(self, port: int) -> None:
        """SIGKILL to the instance and its workers: as when its machine goes. nginx is not told."""
        first = self.pid(port)
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in (first, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(port), "the end of the instance")

    def stop(self) -> None:
        """End what runs, also where not all of it was started, or some of it was killed."""
        if self.nginx is not None:
            self.nginx.terminate()
            self.nginx.wait(30)
        for port in self.ports:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(self.pid(port), signal.SIGTERM)
        for port in self.ports:
            until(lambda port=port: not alive(port), "the end")  # type: ignore[misc]
