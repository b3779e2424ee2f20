"""The page under uvicorn: its stream beside other requests, threads and connections as they are, and `mount_top`.

Holds `dashboard/contents.py`, `dashboard/doctor.py`, `dashboard/tables.py` and
`templatetags/djfast_mount_dashboard.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from browser.serving import CREATE_DEMO, MIGRATE, manage
from harness import PYTHONPATH, TESTS, Server
from quickstart_site import PASSWORD, fresh_database, log_in

pytestmark = pytest.mark.long

MANY = httpx.Limits(max_connections=None)
SITE = TESTS / "support" / "dashboard_site.py"


class Site(Server):
    """The site on one thread. `prefix` is where its Django half is for clients that the proxy sends here."""

    def __init__(self, env: dict[str, str], django_prefix: str, root_path: str) -> None:
        self.env = {**env, "TEST_DJANGO_PREFIX": django_prefix, "TEST_THREADS": "1", "TEST_CONN_MAX_AGE": "600"}
        self.django_prefix = django_prefix
        options = ["--root-path", root_path] if root_path else []
        super().__init__("dashboard_site:app", *options, env=self.env)

    @contextlib.contextmanager
    def demo(self) -> Iterator[httpx.Client]:
        """A client that the demo user is logged in with."""
        with httpx.Client(base_url=self.url + self.django_prefix, timeout=30, limits=MANY) as client:
            assert log_in(client).status_code == 302
            yield client

    def top(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "django", "mount_top", *arguments],
            cwd=TESTS,
            env={**os.environ, **self.env, "COLUMNS": "500"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with fresh_database(tmp_path_factory.mktemp("dashboard")) as url:
        env = {"DJANGO_SETTINGS_MODULE": "dashboard_settings", "PYTHONPATH": PYTHONPATH, "DATABASE_URL": url}
        for command in (MIGRATE, CREATE_DEMO):
            manage({**env, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}, *command)
        yield env


@pytest.fixture(scope="module", params=[("", ""), ("/site", "/pre")], ids=["bare", "prefixes"])
def site(request: pytest.FixtureRequest, env: dict[str, str]) -> Iterator[Site]:
    with Site(env, *request.param) as site:
        yield site


Look = Callable[[], dict[str, Any]]


@contextlib.contextmanager
def stream(client: httpx.Client) -> Iterator[Look]:
    """What returns the next event."""
    with client.stream("GET", "/admin/mount/events/") as response:
        assert response.status_code == 200
        lines = response.iter_lines()

        def look() -> dict[str, Any]:
            event = next(line for line in lines if line.startswith("data: "))
            found: dict[str, Any] = json.loads(event.removeprefix("data: "))
            return found

        yield look


def rows(told: dict[str, Any], key: str) -> list[list[str]]:
    found: list[list[str]] = next(table["rows"] for table in told["tables"] if table["key"] == key)
    return found


def test_an_open_stream_holds_no_thread(site: Site) -> None:
    """On a pool of one thread a sync endpoint is served while a stream is open, and the next event tells of it."""
    with site.demo() as client, stream(client) as look:
        look()
        answer = httpx.get(f"{site.url}/api/items/1", timeout=10)
        assert (answer.status_code, answer.json()) == (200, 0)
        assert any(path.endswith("/api/items/{item_id}") for _, path, *_ in rows(look(), "requests"))


def test_a_stream_ends_soon_after_a_logout(site: Site) -> None:
    """A browser that has logged out gets no further event but the one that is under way."""
    with (
        site.demo() as client,
        httpx.Client(base_url=client.base_url, cookies=client.cookies) as other,
        client.stream("GET", "/admin/mount/events/", timeout=30) as response,
    ):
        seen = 0
        for line in response.iter_lines():
            seen += line.startswith("data: ")
            if seen == 1 and line:
                left = other.post("/admin/logout/", data={"csrfmiddlewaretoken": client.cookies["csrftoken"]})
                assert left.status_code == 200
        assert seen <= 2


def test_fifty_streams_hold_no_thread(site: Site) -> None:
    """With fifty who look, a sync endpoint on a pool of one thread is served, and each of them has its events."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(site.demo())
        looks = [stack.enter_context(stream(client)) for _ in range(50)]
        for look in looks:
            look()
        assert httpx.get(f"{site.url}/api/items/1", timeout=10).status_code == 200
        assert all(look()["process"] for look in looks)


def test_threads_and_those_that_wait_are_told(site: Site) -> None:
    """A request that holds the only thread, and those that wait for it, are in the next event with their routes."""
    with site.demo() as client, stream(client) as look:
        look()
        url = f"{site.url}/api/held?milliseconds=5000"
        requests = [threading.Thread(target=httpx.get, args=[url], kwargs={"timeout": 30}) for _ in range(3)]
        for request in requests:
            request.start()
        told = next(told for told in (look() for _ in range(5)) if rows(told, "waiting"))
        [(_, request_of_thread, doing, _)] = rows(told, "threads")
        assert (request_of_thread, doing) == ("GET /api/held", "running")
        assert [request for request, _ in rows(told, "waiting")] == ["GET /api/held"] * 2
        assert ["Threads", "1 of 1"] in told["summary"]
        assert ["Waiting", "2"] in told["summary"]
        for request in requests:
            request.join()


def test_a_connection_that_lives_on_is_told(site: Site) -> None:
    """With CONN_MAX_AGE the connection of the one thread stays open, is told once, and is in no transaction."""
    with site.demo() as client, stream(client) as look:
        look()
        assert httpx.get(f"{site.url}/api/items/1").status_code == 200
        alias, _, used, in_transaction, kept = rows(look(), "connections")[0]
        assert (alias, int(used) + int(kept), in_transaction) == ("default", 1, "0")


def test_a_planted_stray_is_named_with_its_line(site: Site) -> None:
    """ORM off the request's thread is among the leaks, with the line that uses it."""
    assert httpx.get(f"{site.url}/api/off-its-thread").status_code == 200
    line = next(
        place for place, text in enumerate(SITE.read_text().splitlines(), 1) if "here it is off its thread" in text
    )
    with site.demo() as client:
        time.sleep(1.1)
        told = client.get("/admin/mount/figures.json").json()
    assert [f"{SITE}:{line}", "uses the ORM off the request's thread", "1"] in rows(told, "leaks")


def test_mount_top_shows_the_figures(site: Site) -> None:
    """`mount_top --once` writes the process, a route with its figures, and a planted N+1 with its line."""
    assert httpx.get(f"{site.url}/api/again-and-again").status_code == 200
    time.sleep(1.1)
    done = site.top("--once", "--url", site.url + site.django_prefix)
    assert done.returncode == 0, done.stderr
    assert f"Process {site.process.pid} on " in done.stdout
    assert "/api/again-and-again" in done.stdout
    line = next(place for place, text in enumerate(SITE.read_text().splitlines(), 1) if "here it repeats" in text)
    assert f"dashboard_site.py:{line}" in re.sub(r"\s+", "", done.stdout)
    assert "secret-" not in done.stdout


def test_mount_top_draws_again_and_again(site: Site) -> None:
    """In a terminal it shows what has come since it was started, and Ctrl+C ends it with status 0 and no traceback."""
    ours, theirs = pty.openpty()
    options = ("--interval", "0.5", "--url", site.url + site.django_prefix)
    top = subprocess.Popen(
        [sys.executable, "-m", "django", "mount_top", *options],
        cwd=TESTS,
        env={**os.environ, **site.env, "COLUMNS": "200", "LINES": "60", "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    shown = b""
    try:
        assert httpx.get(f"{site.url}/api/items/1").status_code == 200
        deadline = time.monotonic() + 60
        while shown.count(b"Process ") < 3 and time.monotonic() < deadline:
            shown += os.read(ours, 65536)
            assert httpx.get(f"{site.url}/api/paced?milliseconds=1").status_code == 200
        top.send_signal(signal.SIGINT)
        threading.Thread(target=drain, args=[ours], daemon=True).start()
        _, errors = top.communicate(timeout=30)
    finally:
        top.kill()
    assert (top.returncode, errors) == (0, b"")
    assert f"Process {site.process.pid} on ".encode() in shown
    assert b"/api/paced" in shown


def drain(terminal: int) -> None:
    """Reads what is written until nobody has the other end any more: who writes would wait."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--url", "http://127.0.0.1:9"), "does not answer"),
        (("--url", "127.0.0.1:8000"), "Give a URL such as http://127.0.0.1:8000"),
        (("--header", "Host: other.example"), "ALLOWED_HOSTS"),
        (("--header", "Host"), "is no header"),
        (("--interval", "0"), "no number of seconds"),
    ],
)
def test_mount_top_says_what_is_wrong(site: Site, arguments: tuple[str, ...], said: str) -> None:
    """What it cannot do it says in a sentence, with status 1 or 2 and no traceback."""
    url = () if "--url" in arguments else ("--url", site.url + site.django_prefix)
    done = site.top("--once", *url, *arguments)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_mount_top_of_another_secret_key_is_refused(site: Site) -> None:
    """With another SECRET_KEY the server refuses, and the command says why that may be."""
    code = (
        "from django.conf import settings; import django; django.setup(); settings.SECRET_KEY = 'another'\n"
        "from django.core.management import call_command\n"
        f"call_command('mount_top', once=True, url={site.url + site.django_prefix!r})"
    )
    env = {**os.environ, **site.env}
    done = subprocess.run([sys.executable, "-c", code], cwd=TESTS, env=env, capture_output=True, text=True, check=False)
    assert "answers 403. Its SECRET_KEY" in done.stderr


def test_an_open_stream_holds_no_shutdown(env: dict[str, str]) -> None:
    """The server ends within seconds of SIGTERM, long before a stream would by itself."""
    with Site(env, "", "") as site, site.demo() as client, stream(client) as look:
        look()
        begun = time.monotonic()
        assert site.stop(timeout=40) in (0, -15)
        assert time.monotonic() - begun < 30
