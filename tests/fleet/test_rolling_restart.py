"""Several workers, and several instances behind one nginx: restarted one after another, under load, none is missed.

nginx's configuration and the commands are those of docs/deployment.md, with other ports.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from fleet.load import Load
from harness import Server, free_port
from nginx import configuration, nginx_command, wait_for
from quickstart_site import QUICKSTART, REPOSITORY, Site, installed

FLEET = Path(__file__).parent
WORKERS = 2
DRAIN = "2"
# A machine with much to do takes more than five seconds to start a worker.
SERVER = ("fleet_site:app", "--workers", str(WORKERS), "--timeout-worker-healthcheck", "60")
MASTER = "user root; worker_processes 2;"
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
{python} -m uvicorn fleet_site:app --port $port --workers {workers} >> {folder}/$port.log 2>&1 < /dev/null &
echo $! > {folder}/$port.pid
"""


def block(language: str, number: int) -> str:
    """A code block of the page's section on instances."""
    page = (REPOSITORY / "docs" / "deployment.md").read_text()
    section = page.split("## Several workers, several instances\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)[number]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with installed(tmp_path_factory.mktemp("site")) as site:
        path = os.pathsep.join(map(str, (QUICKSTART, FLEET)))
        yield Site({**site.env, "DRAIN": DRAIN, "PYTHONPATH": path})


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
    """Two instances with their workers behind nginx, and what a terminal on that machine has."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.env = {**os.environ, **site.env, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        self.ports = [free_port(), free_port()]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "bin").mkdir()
        known = {"folder": folder, "quickstart": QUICKSTART, "python": sys.executable, "workers": WORKERS}
        for name, text in (("nginx", NGINX), ("systemctl", SYSTEMCTL)):
            (folder / "bin" / name).write_text(text.format(command=nginx_command(), **known))
            (folder / "bin" / name).chmod(0o755)
        (folder / "nginx.conf").write_text(configuration(folder, MASTER, f"include {folder}/site.conf;"))
        (folder / "upstream.conf").write_text(self.ours(block("nginx", 0)))
        (folder / "site.conf").write_text(self.ours(block("nginx", 1)))

    def ours(self, text: str) -> str:
        """What the page says, with the ports and the folder of this test."""
        text = text.replace("/etc/nginx/upstream.conf", f"{self.folder}/upstream.conf").replace(
            "listen 80", f"listen 127.0.0.1:{self.port}"
        )
        for known, own in zip(("8001", "8002"), self.ports, strict=True):
            text = text.replace(known, str(own))
        return text

    def log(self) -> str:
        return "".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))

    def start(self) -> None:
        for port in self.ports:
            with (self.folder / f"{port}.log").open("a") as log:
                command = [sys.executable, "-m", "uvicorn", "fleet_site:app", "--port", str(port)]
                process = subprocess.Popen(
                    [*command, "--workers", str(WORKERS)], cwd=QUICKSTART, env=self.env, stdout=log, stderr=log
                )
            (self.folder / f"{port}.pid").write_text(str(process.pid))
            # Else it stays a zombie, which `kill -0` takes for a process.
            threading.Thread(target=process.wait, daemon=True).start()
        for port in self.ports:
            until(lambda port=port: ready(f"http://127.0.0.1:{port}"), "the instance")  # type: ignore[misc]
        self.nginx = subprocess.Popen([str(self.folder / "bin" / "nginx"), "-g", "daemon off;"], env=self.env)
        wait_for(self.nginx, self.port, self.folder / "error.log")

    def roll(self) -> subprocess.CompletedProcess[str]:
        script = self.ours(block("sh", 0))
        return subprocess.run(
            ["sh", "-ec", script], env=self.env, capture_output=True, text=True, check=False, timeout=300
        )

    def stop(self) -> None:
        self.nginx.terminate()
        self.nginx.wait(30)
        for port in self.ports:
            os.kill(int((self.folder / f"{port}.pid").read_text()), signal.SIGTERM)
        for port in self.ports:
            until(lambda port=port: not alive(port), "the end")  # type: ignore[misc]


@pytest.fixture
def fleet(tmp_path: Path, site: Site) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, site)
    fleet.start()
    yield fleet
    fleet.stop()


def test_a_rolling_restart_loses_nothing(fleet: Fleet) -> None:
    """While both instances are restarted one after another, each request is answered, and each note is there once."""
    before, notes = processes(fleet.url), created(fleet.url)
    with Load(fleet.url) as load:
        until(lambda: load.asked > 50, "load")
        done = fleet.roll()
        assert done.returncode == 0, done.stdout + done.stderr
        asked = load.asked
        until(lambda: load.asked > asked + 50, "load")
    assert load.lost == [], fleet.log()
    assert not processes(fleet.url) & before
    assert sorted(created(fleet.url)) == sorted(notes + load.created)
    assert load.asked > 150


def test_an_instance_that_dies_is_not_missed(fleet: Fleet) -> None:
    """Where nothing listens any more, nginx asks the other one: a fresh connection is never refused."""
    pid = int((fleet.folder / f"{fleet.ports[0]}.pid").read_text())
    with Load(fleet.url) as load:
        until(lambda: load.asked > 20, "load")
        os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(fleet.ports[0]), "the end of an instance")
        asked = load.asked
        until(lambda: load.asked > asked + 100, "load")
    # What was on its way to it when its port closed may be cut off; what came later may not.
    assert len(load.lost) <= 4, load.lost
    with Load(fleet.url) as later:
        until(lambda: later.asked > 100, "load")
    assert later.lost == []
    again = fleet.folder / "bin" / "systemctl"
    again.write_text(again.read_text().replace("kill -TERM $old", "true"))
    subprocess.run([str(again), "restart", f"site@{fleet.ports[0]}"], env=fleet.env, check=True, timeout=60)
    until(lambda: ready(f"http://127.0.0.1:{fleet.ports[0]}"), "the instance")


def test_workers_are_replaced_one_by_one(site: Site) -> None:
    """SIGHUP to uvicorn with --workers, on one port and without a proxy: the port stays open, and requests go on.

    uvicorn closes a connection on which no request has come yet, be it on its way: one a worker and client at most.
    """
    with Server(*SERVER, env=site.env, folder=QUICKSTART) as server:
        until(lambda: ready(server.url), "readiness")
        before, notes = processes(server.url), created(server.url)
        with Load(server.url) as load:
            until(lambda: load.asked > 30, "load")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: len(load.processes - before) >= WORKERS, "new workers")
            asked = load.asked
            until(lambda: load.asked > asked + 50, "load")
        assert all("disconnected" in lost.answer or "reset" in lost.answer for lost in load.lost), load.lost
        assert len(load.lost) <= WORKERS * load.clients
        assert set(notes + load.created) <= set(created(server.url))


def test_a_worker_that_dies_is_replaced(site: Site) -> None:
    """A killed worker takes its own requests with it, and no other: the port stays open and a new worker comes."""
    with Server(*SERVER, env=site.env, folder=QUICKSTART) as server:
        until(lambda: ready(server.url), "readiness")
        before = processes(server.url)
        os.kill(next(iter(before)), signal.SIGKILL)
        until(lambda: bool(processes(server.url) - before), "a new worker")
        with Load(server.url, clients=2) as load:
            until(lambda: load.asked > 50, "load")
        assert load.lost == [], server.log
