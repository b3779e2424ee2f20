"""Server-Timing and the access log.

Holds `telemetry/access_log.py` and `telemetry/server_timing.py`.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from calls import ask
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError
from harness import PYTHONPATH, TESTS, Server
from telemetry_site import SITE, site

LOGGERS = ("djfast_mount.access", "uvicorn.access", "hypercorn.access")


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """The loggers as they were."""
    before = {name: dict(vars(logging.getLogger(name))) for name in LOGGERS}
    yield
    for name, attributes in before.items():
        vars(logging.getLogger(name)).update(attributes)


@pytest.mark.parametrize("path", ["/api/sync/1", "/view/1/"])
def test_server_timing_tells_what_it_took(path: str, root_path: str) -> None:
    """In all, on the thread, and in the database, in milliseconds."""
    with site(settings={"server_timing": True}) as root:
        told = ask(root, path, root_path=root_path).header("server-timing") or ""
    assert re.fullmatch(r'total;dur=[\d.]+, thread;dur=[\d.]+, db;dur=[\d.]+;desc="1 queries"', told)


@pytest.mark.parametrize(("debug", "setting", "told"), [(True, None, True), (False, None, False), (True, False, False)])
def test_server_timing_is_for_debug_by_default(debug: bool, setting: bool | None, told: bool) -> None:
    """It tells strangers how long the database takes, so that has to be asked for without DEBUG."""
    with override_settings(DEBUG=debug), site(settings={"server_timing": setting}) as root:
        assert (ask(root, "/api/hello").header("server-timing") is not None) == told


@pytest.mark.parametrize("setting", [{"access_log": "json"}, {"server_timing": True}])
def test_what_needs_telemetry_says_so(setting: dict[str, Any]) -> None:
    """With telemetry off the options that are nothing without it are an error, which names the remedy."""
    with override_settings(ROOT_URLCONF=SITE, DJFAST_MOUNT=setting), pytest.raises(ConfigurationError) as raised:
        mount("/api", "telemetry_site:api")
    assert "Set settings.DJFAST_MOUNT['telemetry'] to True" in str(raised.value)


def test_the_access_log_has_each_request(caplog: pytest.LogCaptureFixture, root_path: str) -> None:
    """Path, status, bytes and cost of each request; neither its query string nor health."""
    with site(settings={"access_log": "text"}) as root, caplog.at_level(logging.INFO, "djfast_mount.access"):
        ask(root, "/api/sync/1", root_path=root_path, query_string=b"token=secret")
        ask(root, "/healthz", root_path=root_path)
        ask(root, '/nothing/\n"here\udcff', root_path=root_path)
    first, second = [record for record in caplog.records if record.name == "djfast_mount.access"]
    assert re.fullmatch(
        rf'127\.0\.0\.1 "GET {root_path}/api/sync/1" 200 \d+ [\d.]+ms queries=1 id=[0-9a-f]+', first.getMessage()
    )
    assert first.route == f"{root_path}/api/sync/{{number}}"  # type: ignore[attr-defined]
    assert "secret" not in str(vars(first))
    assert f'"GET {root_path}/nothing/%0A%22here%5Cudcff" ' in second.getMessage()


@pytest.mark.parametrize(
    ("client", "told"),
    [
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ('1.1.1.1 "GET /" 200\x1b[2J\x85', "1.1.1.1%20%22GET%20/%22%20200%1B%5B2J%C2%85"),
    ],
)
def test_a_client_writes_no_line_by_its_address(client: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """An address may come from X-Forwarded-For: it has neither spaces nor control characters in the log."""
    with site(settings={"access_log": "text"}) as root, caplog.at_level(logging.INFO, "djfast_mount.access"):
        ask(root, "/api/hello", client=(client, 1))
    [line] = [record.getMessage() for record in caplog.records if record.name == "djfast_mount.access"]
    assert line.startswith(f'{told} "GET /api/hello" 200 ')


SCRIPT = """
from django.conf import settings
settings.ROOT_URLCONF = "telemetry_site"
settings.DJFAST_MOUNT = {"telemetry": True, "access_log": FORM}
from djfast_mount import mount
app = mount("/api", "telemetry_site:api")
"""


@pytest.mark.once
@pytest.mark.parametrize("form", ["text", "json"])
def test_it_takes_the_place_of_the_servers(form: str, tmp_path: Any) -> None:
    """Under uvicorn, one line for a request on stdout, of ours and in the form that was chosen."""
    (tmp_path / "logged_site.py").write_text(SCRIPT.replace("FORM", repr(form)))
    with Server("logged_site:app", folder=tmp_path) as server:
        server.wait_until_ready(timeout=60)
        with server.client() as client:
            assert client.get("/api/hello?token=secret").status_code == 200
            assert client.get("/healthz").status_code == 200
        lines = [line for line in server.log.splitlines() if "/api/hello" in line or "/healthz" in line]
    assert len(lines) == 1
    if form == "json":
        found = json.loads(lines[0])
        assert (found["route"], found["status"], found["logger"]) == ("/api/hello", 200, "djfast_mount.access")
    else:
        assert re.search(r'127\.0\.0\.1 "GET /api/hello" 200 17 [\d.]+ms', lines[0])


@pytest.mark.once
def test_a_process_without_telemetry_loads_no_exporter() -> None:
    """Neither the import of the package's telemetry nor `mount()` loads an optional package."""
    code = (
        "import sys; from djfast_mount import mount; import telemetry_site; mount('/api', telemetry_site.make_api());"
        "print([name for name in ('prometheus_client', 'sentry_sdk', 'opentelemetry.sdk') if name in sys.modules])"
    )
    env = {"PYTHONPATH": PYTHONPATH, "DJANGO_SETTINGS_MODULE": "project.settings", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=TESTS,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
