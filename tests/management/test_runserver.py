"""manage.py runserver: both halves, and all that Django's developers are used to.

Holds `management/commands/runserver.py`, `management/autoreload.py`, `management/startup_banner.py` and
`management/find_application.py`.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from dev_site import Folder, Running, runserver
from harness import free_port

pytestmark = pytest.mark.long

STARTED = "Quit the server with CONTROL-C."
WATCHING = "Watching for file changes"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def outer(root_path: str) -> str:
    """runserver has no root_path of its own: the outer prefix is Django's setting."""
    return root_path


def test_both_halves_and_static_files_are_served(folder: Folder, outer: str) -> None:
    """Site, admin, API, its docs, a websocket and the files of apps are answered; the banner says where they are."""
    with runserver(folder, "--noreload", TEST_FORCE_SCRIPT_NAME=outer) as server:
        server.until_said(STARTED)
        banner = re.findall(r"^  (\w[\w ]*?) +(http\S+)$", server.log, re.MULTILINE)
        assert dict(banner) == {
            "site": f"{server.url}{outer}/",
            "admin": f"{server.url}{outer}/admin/",
            "API docs": f"{server.url}{outer}/api/docs",
        }
        assert server.get(f"{outer}/") == "home, first"
        assert server.get(f"{outer}/api/word") == '"first"'
        assert server.get(f"{outer}/static/pages/style.css") == "/* first */"
        for url in dict(banner).values():
            assert httpx.get(url, follow_redirects=True).status_code == 200
        with connect(f"{server.url}{outer}/api/ws".replace("http", "ws"), proxy=None):
            pass
        server.until_said(f'"WEBSOCKET {outer}/api/ws HTTP/1.1" 101')


def test_requests_are_shown_as_django_shows_them(folder: Folder) -> None:
    """Each request is a line with time, request, status and size, in the colour of its status; health is none."""
    with runserver(folder, "--noreload") as server:
        server.until_said(STARTED)
        for path in ("/api/word", "/healthz", "/readyz", "/caf%C3%A9?a=%0A", "/static/pages/style.css"):
            server.get(path)
        server.until_said("style.css")
        clock = r"\[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\]"
        assert re.search(rf'^{clock} \x1b\[m"GET /api/word HTTP/1.1" 200 7\x1b\[0m$', server.log, re.MULTILINE)
        assert re.search(
            rf'^{clock} \x1b\[33m"GET /caf%C3%A9\?a=%0A HTTP/1.1" 404 \d+\x1b\[0m$', server.log, re.MULTILINE
        )
        assert "healthz" not in server.log
        assert "readyz" not in server.log


def test_no_color_is_obeyed(folder: Folder) -> None:
    """--no-color leaves the lines as they are."""
    with runserver(folder, "--noreload", "--no-color") as server:
        server.until_said(STARTED)
        server.get("/nowhere")
        server.until_said('"GET /nowhere HTTP/1.1" 404')
        assert "\x1b[33m" not in server.log


def test_python_templates_and_static_files_are_reloaded(folder: Folder) -> None:
    """A change of the API, of a template or of a static file is served without anybody's doing."""
    with runserver(folder) as server:
        server.until_answered("/api/word", '"first"')
        server.until_answered("/", "home, first")
        server.until_answered("/static/pages/style.css", "/* first */")
        folder.change("pages/static/pages/style.css", "first", "second")
        server.until_answered("/static/pages/style.css", "/* second */")
        folder.change("pages/templates/pages/home.html", "first", "second")
        server.until_answered("/", "home, second")
        folder.change("pages/api.py", '"first"', '"second"')
        server.until_answered("/api/word", '"second"')
        # The lifespan of the process that went was ended, not cut off.
        assert (folder.path / "pages" / "ended").read_text() == "ended\n"


def test_uvicorns_reload_works_as_well(folder: Folder) -> None:
    """`uvicorn mysite.asgi:app --reload` serves changes of the API, of templates and of static files too."""
    port = free_port()
    with Running(folder, "-m", "uvicorn", "mysite.asgi:app", "--reload", "--port", str(port), port=port) as server:
        server.until_answered("/api/word", '"first"')
        server.until_answered("/", "home, first")
        server.until_answered("/static/pages/style.css", "/* first */")
        folder.change("pages/static/pages/style.css", "first", "second")
        server.until_answered("/static/pages/style.css", "/* second */")
        folder.change("pages/templates/pages/home.html", "first", "second")
        server.until_answered("/", "home, second")
        folder.change("pages/api.py", '"first"', '"second"')
        server.until_answered("/api/word", '"second"')


def mend(server: Running, folder: Folder, name: str, text: str) -> None:
    """Writes a file until it is served: a reloader sees no change that was made before its first look."""
    last = 0.0

    def served() -> bool:
        nonlocal last
        if time.monotonic() - last > 8:
            folder.write(name, text)
            last = time.monotonic()
        return server.get("/api/word") == '"first"'

    server.until(served, f"an answer after {name} had been mended")


@pytest.mark.parametrize("name", ["pages/api.py", "pages/models.py", "mysite/settings.py", "mysite/asgi.py"])
def test_a_syntax_error_is_waited_for(folder: Folder, name: str) -> None:
    """A file that does not compile is shown, and the server is back once it is mended."""
    with runserver(folder) as server:
        server.until_answered("/api/word", '"first"')
        good = (folder.path / name).read_text()
        folder.write(name, good + "\ndef broken(:\n")
        server.until_said("SyntaxError")
        server.until(lambda: server.get("/api/word") is None, "the end of the server")
        assert server.process.poll() is None
        mend(server, folder, name, good)


@pytest.mark.parametrize("name", ["pages/api.py", "pages/models.py", "mysite/asgi.py"])
def test_a_server_may_start_with_a_syntax_error(folder: Folder, name: str) -> None:
    """A project that does not compile can be mended after the start."""
    good = (folder.path / name).read_text()
    folder.write(name, good + "\ndef broken(:\n")
    with runserver(folder) as server:
        server.until_said("SyntaxError")
        mend(server, folder, name, good)


def test_a_failed_import_is_waited_for(folder: Folder) -> None:
    """A name that cannot be imported is told in mount()'s words, and mended by a change of the file that lacks it."""
    with runserver(folder) as server:
        server.until_answered("/api/word", '"first"')
        folder.change("pages/api.py", "import asyncio\n", "import asyncio\nfrom pages.words import WORD\n")
        server.until_said("'pages.api:api' for prefix '/api' cannot be imported")
        mend(server, folder, "pages/words.py", "WORD = 1\n")


def test_a_failing_lifespan_is_told_once(folder: Folder) -> None:
    """What a lifespan raised is shown once; the server waits for the fix, or ends where there is no reloader."""
    folder.change("pages/api.py", "    yield\n", '    raise RuntimeError("no cache today")\n    yield\n')
    with runserver(folder, "--noreload") as server:
        assert server.until_ended() == 1
        assert server.log.count("RuntimeError: no cache today") == 1
        assert "The application did not start. Startup of the app at '/api' failed" in server.log
        assert STARTED not in server.log
    with runserver(folder) as server:
        server.until_said("RuntimeError: no cache today")
        folder.change("pages/api.py", '    raise RuntimeError("no cache today")\n', "")
        server.until_answered("/api/word", '"first"')


@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["reload", "noreload"])
def test_a_port_in_use_is_told(folder: Folder, options: tuple[str, ...]) -> None:
    """A port that another process has is one line, and the command ends with status 1."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with runserver(folder, *options, port=other.getsockname()[1]) as server:
            assert server.until_ended() == 1
            assert server.log.count("Error: That port is already in use.") == 1
            assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("DJFAST_MOUNT = {}", 'DJFAST_MOUNT = {"thread": 1}', "(djfast_mount.E002) settings.DJFAST_MOUNT has the key"),
        ('"mysite.urls"', '"mysite.nowhere"', "No module named 'mysite.nowhere'"),
        ('"1") == "1"', '"0") == "1"\nALLOWED_HOSTS = []#', "You must set settings.ALLOWED_HOSTS if DEBUG is False."),
    ],
)
def test_bad_settings_are_told(folder: Folder, old: str, new: str, told: str) -> None:
    """Settings that cannot work end the command with a message that names the fault."""
    folder.change("mysite/settings.py", old, new)
    if "ALLOWED_HOSTS" in new:
        folder.change("mysite/settings.py", 'ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]\n', "")
    with runserver(folder, "--noreload") as server:
        assert server.until_ended() == 1
        assert told in server.log


def test_a_project_without_asgi_is_told_what_to_write(folder: Folder) -> None:
    """Where there is no asgi.py the command says what to write."""
    (folder.path / "mysite" / "asgi.py").unlink()
    done = folder.manage("runserver", "--noreload", str(free_port()))
    assert done.returncode == 1
    assert "There is no asgi.py beside the settings or the URLconf. Write one with mount() in it" in done.stderr


def test_unapplied_migrations_are_told(folder: Folder, tmp_path: Path) -> None:
    """The start warns of unapplied migrations, and no more once they are applied."""
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/migrations.sqlite3"}
    with runserver(folder, "--noreload", **database) as server:
        server.until_said(STARTED)
        assert "unapplied migration(s)" in server.log
    folder.manage("migrate", **database)
    with runserver(folder, "--noreload", **database) as server:
        server.until_said(STARTED)
        assert "unapplied migration(s)" not in server.log


def test_a_database_that_is_down_is_told(folder: Folder) -> None:
    """Where migrations cannot be looked up the server says so in a line and serves."""
    url = f"postgres://nobody@127.0.0.1:{free_port()}/none"
    with runserver(folder, "--noreload", DATABASE_URL=url) as server:
        server.until_said(STARTED)
        assert "Migrations could not be checked: connection failed" in server.log
        assert server.get("/api/word") == '"first"'


@pytest.mark.parametrize("address", ["[::1]:", ""], ids=["address", "option"])
def test_ipv6(folder: Folder, address: str) -> None:
    """An IPv6 address, or -6, is served and stands in brackets in the banner."""
    port = free_port()
    options = (f"{address}{port}",) if address else ("-6", str(port))
    with Running(folder, "manage.py", "runserver", "--noreload", *options, port=port, host="[::1]") as server:
        server.until_said(STARTED)
        assert f"Starting development server at http://[::1]:{port}/" in server.log
        assert server.get("/api/word") == '"first"'


def test_an_address_is_served(folder: Folder) -> None:
    """With address:port that address alone is served."""
    port = free_port()
    with Running(folder, "manage.py", "runserver", "--noreload", f"127.0.0.2:{port}", port=port) as server:
        server.until_said(f"Starting development server at http://127.0.0.2:{port}/")
        assert server.get("/api/word") is None
        assert httpx.get(f"http://127.0.0.2:{port}/api/word", headers={"host": "localhost"}).text == '"first"'


def end(server: Running, how: str) -> None:
    if how == "terminal":
        server.interrupt()
    else:
        os.kill(server.process.pid, {"int": signal.SIGINT, "term": signal.SIGTERM}[how])


@pytest.mark.parametrize("how", ["terminal", "int", "term"])
@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["reload", "noreload"])
def test_the_end_lets_requests_and_lifespans_end(folder: Folder, options: tuple[str, ...], how: str) -> None:
    """Ctrl-C and SIGTERM, to one process or to both, end the server after its requests and its lifespans."""
    with runserver(folder, *options) as server, ThreadPoolExecutor(1) as pool:
        server.until_answered("/api/word", '"first"')
        slow = pool.submit(server.get, "/api/slow")
        server.until((folder.path / "pages" / "begun").exists, "the slow request")
        end(server, how)
        assert server.until_ended() == (-signal.SIGTERM if how == "term" and options else 0)
        assert slow.result() == '"done"'
        assert (folder.path / "pages" / "ended").read_text() == "ended\n"
        assert "Traceback" not in server.log


def test_static_files_can_be_left_out(folder: Folder) -> None:
    """--nostatic leaves them to others; --insecure serves them without DEBUG; neither is the default without DEBUG."""

    def status(*options: str, debug: str) -> int:
        with runserver(folder, "--noreload", *options, TEST_DEBUG=debug) as server:
            server.until_said(STARTED)
            return httpx.get(f"{server.url}/static/pages/style.css").status_code

    assert status("--nostatic", debug="1") == 404
    assert status("--insecure", debug="0") == 200
    assert status(debug="0") == 404


def test_another_runserver_in_front_is_told(folder: Folder) -> None:
    """Where staticfiles stands above djfast_mount the check says that its runserver is the one that runs."""
    folder.change("mysite/settings.py", '    "djfast_mount",\n', "")
    folder.change("mysite/settings.py", '    "pages",\n', '    "pages",\n    "djfast_mount",\n')
    assert "djfast_mount.W002" in folder.manage("check").stderr
