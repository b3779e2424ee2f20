"""Several workers, and several instances behind one nginx: restarted one after another, under load, none is missed.

nginx's configuration and the commands are those of docs/deployment.md, with other ports.
"""

from __future__ import annotations

import os
import signal
import subprocess

from fleet.instances import SERVER, WORKERS, Fleet, alive, created, processes, ready, until
from fleet.load import Load
from harness import Server
from quickstart_site import QUICKSTART, Site


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
