"""What every server has to answer on one port, and where they differ. docs/servers.md tells the differences.

Served is the quickstart, with one more app that has a lifespan, by each server in a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from harness import Server, free_port
from quickstart_site import QUICKSTART, Site, create, installed, log_in

APP = "quickstart_with_lifespan:app"
NO_LIFESPAN = {"daphne"}
Command = Callable[[str, int, str], list[str]]


def uvicorn(app: str, port: int, root_path: str) -> list[str]:
    return ["uvicorn", app, "--port", str(port), "--root-path", root_path]


def hypercorn(app: str, port: int, root_path: str) -> list[str]:
    return ["hypercorn", app, "--bind", f"127.0.0.1:{port}", "--root-path", root_path]


def granian(app: str, port: int, root_path: str) -> list[str]:
    prefix = ["--url-path-prefix", root_path] if root_path else []
    return ["granian", app, "--interface", "asgi", "--port", str(port), *prefix]


def gunicorn(app: str, port: int, root_path: str) -> list[str]:
    worker = "prefixed_worker.PrefixedWorker" if root_path else "uvicorn_worker.UvicornWorker"
    return ["gunicorn", app, "--worker-class", worker, "--bind", f"127.0.0.1:{port}"]


def daphne(app: str, port: int, root_path: str) -> list[str]:
    return ["daphne", app, "--bind", "127.0.0.1", "--port", str(port), "--root-path", root_path]


SERVERS: dict[str, Command] = {command.__name__: command for command in (uvicorn, hypercorn, granian, gunicorn, daphne)}


class ServerProcess(Server):
    """Any server that has a command line."""

    def __init__(self, name: str, root_path: str, env: dict[str, str], app: str = APP) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = tempfile.TemporaryFile("w+b")  # noqa: SIM115  (closed in stop)
        self.process = subprocess.Popen(
            [sys.executable, "-m", *SERVERS[name](app, self.port, root_path)],
            env={**os.environ, **env, "PYTHONPATH": os.pathsep.join(map(str, (QUICKSTART, Path(__file__).parent)))},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with installed(tmp_path_factory.mktemp("servers")) as site:
        yield site


@pytest.fixture(scope="module", params=SERVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["", "/pre"], ids=["bare", "root_path"])
def root_path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(site: Site, name: str, root_path: str) -> Iterator[ServerProcess]:
    """One server after the other: at the root of its host, then as behind a proxy that strips /pre."""
    with ServerProcess(name, root_path, site.env) as server:
        yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def session(server: ServerProcess) -> httpx.Cookies:
    """The cookies of a logged-in admin; to hash a password takes a second."""
    with server.client() as client:
        log_in(client)
        return client.cookies


@pytest.fixture
def note(client: httpx.Client, session: httpx.Cookies) -> dict[str, object]:
    """A note of the API's. The client is logged in from here on."""
    client.cookies.update(session)
    return dict(create(client, f"note {uuid4().hex}").json()[0])


@pytest.fixture
def stylesheet(client: httpx.Client, root_path: str) -> str:
    found = re.search(r'href="([^"]+/css/base\.[0-9a-f]{12}\.css)"', client.get("/admin/login/").text)
    assert found is not None
    assert found[1].startswith(f"{root_path}/static/")
    return found[1].removeprefix(root_path)


def test_the_admin_asks_for_a_login(client: httpx.Client, root_path: str) -> None:
    """The admin's index leads to its login page, which is there."""
    answer = client.get("/admin/")
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        f"{root_path}/admin/login/?next={root_path}/admin/",
    )
    page = client.get("/admin/login/")
    assert (page.status_code, "csrfmiddlewaretoken" in page.text) == (200, True)


def test_the_api_writes_and_reads(client: httpx.Client, note: dict[str, object]) -> None:
    """A note posted to a sync endpoint is answered by an async one."""
    assert client.get(f"/api/notes/{note['id']}").json() == note


def test_the_schema_names_the_prefix(client: httpx.Client, root_path: str) -> None:
    """The docs lead a browser to the schema, and the schema to the API, wherever the server is mounted."""
    log_in(client)
    assert f'openapi-url="{root_path}/api/openapi.json"' in client.get("/api/docs").text
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": f"{root_path}/api"}]


def test_a_static_file_is_served_compressed(client: httpx.Client, stylesheet: str) -> None:
    """The gzip variant of a file is announced as such, and is the file."""
    plain = client.get(stylesheet, headers={"accept-encoding": "identity"})
    packed = client.get(stylesheet, headers={"accept-encoding": "gzip"})
    assert (plain.status_code, plain.headers["content-type"]) == (200, 'text/css; charset="utf-8"')
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert packed.content == plain.content


def test_a_range_of_a_static_file(client: httpx.Client, stylesheet: str) -> None:
    """Ten bytes asked for are ten bytes answered, and HEAD answers none."""
    whole = client.get(stylesheet, headers={"accept-encoding": "identity"})
    part = client.get(stylesheet, headers={"accept-encoding": "identity", "range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    head = client.head(stylesheet, headers={"accept-encoding": "identity"})
    assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")


def test_a_websocket_is_answered(server: ServerProcess, note: dict[str, object]) -> None:
    """A text sent over a websocket of the API comes back with the titles that contain it."""
    with connect(f"ws://127.0.0.1:{server.port}/api/notes/search", proxy=None) as websocket:
        websocket.send(str(note["title"]))
        assert json.loads(websocket.recv(timeout=10)) == {"search": note["title"], "titles": [note["title"]]}


def test_a_websocket_elsewhere_is_refused(server: ServerProcess) -> None:
    """A websocket under no prefix is refused with 403, without a traceback."""
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}/elsewhere", proxy=None).close()
    assert refused.value.response.status_code == 403
    assert "Traceback" not in server.log


def test_events_come_as_they_happen(client: httpx.Client, note: dict[str, object]) -> None:
    """An open stream of events brings a note that was made after it was opened."""
    headers = {"last-event-id": str(int(str(note["id"])) - 1)}
    with client.stream("GET", "/api/notes/changes", headers=headers) as response:
        events = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))
        assert next(events) == note
        [later] = create(client, f"note {uuid4().hex}").json()
        assert next(events) == later


def test_a_stream_ends_with_its_client(server: ServerProcess, client: httpx.Client) -> None:
    """The generator of an endless stream is closed once its client has left."""
    closed = server.log.count("stream: closed")
    with client.stream("GET", "/life/endless") as response:
        lines = response.iter_lines()
        assert next(lines) == "0"
        assert server.log.count("stream: closed") == closed
    deadline = time.monotonic() + 10
    while server.log.count("stream: closed") == closed:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)


def test_the_lifespan_of_an_app_runs(client: httpx.Client, name: str) -> None:
    """A mounted app sees the state that its lifespan made, under every server that has lifespans."""
    assert client.get("/life/started").json() is (name not in NO_LIFESPAN)


@pytest.fixture
def own_server(site: Site, name: str, root_path: str) -> Callable[[], ServerProcess]:
    return lambda: ServerProcess(name, root_path, site.env)


def test_sigterm_ends_the_server(own_server: Callable[[], ServerProcess], name: str) -> None:
    """SIGTERM ends an idle server, after the shutdown of every lifespan and without a traceback."""
    with own_server() as server:
        with server.client() as client:
            assert client.get("/api/notes").status_code == 200
        server.stop()
        assert ("lifespan: shutdown" in server.log) is (name not in NO_LIFESPAN)
        assert "Traceback" not in server.log


def test_sigterm_ends_a_server_with_a_stream(own_server: Callable[[], ServerProcess], name: str) -> None:
    """SIGTERM ends a server whose client reads a stream of events, after the shutdown of every lifespan."""
    with own_server() as server, server.client() as client:
        log_in(client)
        assert create(client, f"note {uuid4().hex}").status_code == 201
        with client.stream("GET", "/api/notes/changes") as response:
            lines = response.iter_lines()
            assert next(lines).startswith("data: ")
            server.stop()
        assert ("lifespan: shutdown" in server.log) is (name not in NO_LIFESPAN)


@pytest.mark.parametrize(("server_name", "status"), [("uvicorn", 3), ("gunicorn", 3), ("granian", 1)])
def test_a_failing_start_up_ends_the_server(site: Site, server_name: str, status: int) -> None:
    """A server whose app cannot start ends by itself, with the app's own message in its log."""
    process = ServerProcess(server_name, "", site.env, "failing_lifespan:app")
    try:
        assert process.process.wait(30) == status
        assert "RuntimeError: there is no oil" in process.log
    finally:
        process.__exit__()
