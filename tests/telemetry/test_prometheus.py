"""Metrics for Prometheus: what they tell, who may read them, and several workers.

Holds `telemetry/pools.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from calls import Answer, ask, call, http_scope
from djfast_mount import mount
from djfast_mount.application import MountedApplication
from djfast_mount.exceptions import ConfigurationError
from harness import Server
from telemetry_site import SITE, site

parser = pytest.importorskip("prometheus_client.parser")

TOKEN = "0123456789abcdef"
SETTINGS = {"metrics_path": "/metrics", "metrics_token": TOKEN}
ALLOWED = {"authorization": f"Bearer {TOKEN}"}


def samples(text: str) -> dict[str, float]:
    """The value of each sample, by its name and labels as they are written."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def scrape(root: MountedApplication, root_path: str = "") -> dict[str, float]:
    return samples(ask(root, "/metrics", root_path=root_path, headers=ALLOWED).text)


def test_each_request_is_counted(root_path: str) -> None:
    """Under its owner and route, with time, statements and bytes; the metrics themselves are well-formed."""
    with site(settings=SETTINGS) as root:
        before = scrape(root, root_path)
        for _ in range(3):
            ask(root, "/api/sync/1", root_path=root_path)
        ask(root, "/view/1/", root_path=root_path)
        after = scrape(root, root_path)
    route = f"{root_path}/api/sync/{{number}}"
    names = [
        f"djfast_mount_request_duration_seconds_count{{method=GET,owner=api,route={route},status=200}}",
        f"djfast_mount_queries_total{{owner=api,route={route}}}",
        f"djfast_mount_queries_total{{owner=django,route={root_path}/view/<int:number>/}}",
    ]
    assert [after[name] - before.get(name, 0) for name in names] == [3, 3, 1]
    held = "djfast_mount_thread_held_seconds_count{owner=api}"
    assert after[held] - before.get(held, 0) == 3


def test_the_pool_is_shown() -> None:
    """With one thread, one request that has it and one that waits are seen at the very moment."""

    async def main(root: MountedApplication) -> Answer:
        slow = [asyncio.ensure_future(call(root, http_scope("/api/slow"))) for _ in range(2)]
        await asyncio.sleep(0.05)
        answer = await call(root, http_scope("/metrics", headers=ALLOWED))
        await asyncio.gather(*slow)
        return answer

    with site(settings=SETTINGS, threads=1) as root:
        before = scrape(root)
        found = samples(asyncio.run(main(root)).text)
    names = ("threads_busy", "waiting_requests", "active_requests")
    # Other roots of this process may still have pools; they are at rest.
    assert {name: found[f"djfast_mount_{name}{{}}"] - before[f"djfast_mount_{name}{{}}"] for name in names} == {
        "threads_busy": 1,
        "waiting_requests": 1,
        "active_requests": 2,
    }


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer 0123456789abcdeF", TOKEN, f"Basic {TOKEN}"])
def test_a_token_is_asked_for(given: str, root_path: str) -> None:
    """Without it nothing is told, whatever else was sent."""
    headers = {"authorization": given} if given else {}
    with site(settings=SETTINGS) as root:
        answer = ask(root, "/metrics", root_path=root_path, headers=headers)
    assert (answer.status, answer.body, answer.header("www-authenticate")) == (401, b"", "Bearer")


def test_nobody_reads_them_by_oversight() -> None:
    """Without DEBUG and without a token the mount does not start, unless that is said to be meant."""
    with (
        override_settings(ROOT_URLCONF=SITE, DJFAST_MOUNT={"telemetry": True, "metrics_path": "/metrics"}),
        pytest.raises(ConfigurationError, match="everybody could read the metrics"),
    ):
        mount("/api", "telemetry_site:api")
    with site(settings={"metrics_path": "/metrics", "metrics_access": "public"}) as root:
        assert ask(root, "/metrics").status == 200
    with override_settings(DEBUG=True), site(settings={"metrics_path": "/metrics"}) as root:
        assert ask(root, "/metrics").status == 200
    with override_settings(DEBUG=True), site(settings=SETTINGS) as root:
        assert ask(root, "/metrics").status == 401


def test_other_methods_and_forms() -> None:
    """HEAD has no body, POST is refused, and OpenMetrics is sent to whom asks for it."""
    with site(settings=SETTINGS) as root:
        head = ask(root, "/metrics", headers=ALLOWED, method="HEAD")
        post = ask(root, "/metrics", headers=ALLOWED, method="POST")
        opened = ask(root, "/metrics", headers={**ALLOWED, "accept": "application/openmetrics-text; version=1.0.0"})
    assert (head.status, head.body) == (200, b"")
    assert (post.status, post.header("allow")) == (405, "GET, HEAD")
    assert (opened.header("content-type") or "").startswith("application/openmetrics-text; version=1.0.0")
    assert opened.text.endswith("# EOF\n")


def test_without_a_path_there_are_none() -> None:
    """`/metrics` is Django's then."""
    with site() as root:
        assert ask(root, "/metrics", headers=ALLOWED).status == 404


def test_no_path_of_another_is_taken() -> None:
    """A path that is mounted or that health has is an error at the start."""
    for path in ("/api", "/healthz"):
        with pytest.raises(ConfigurationError), site(settings={**SETTINGS, "metrics_path": path}):
            pass


SCRIPT = """
from django.conf import settings
settings.ROOT_URLCONF = "telemetry_site"
settings.DJFAST_MOUNT = {"telemetry": True, "metrics_path": "/metrics", "metrics_access": "public"}
from djfast_mount import mount
app = mount("/api", "telemetry_site:api")
"""


@pytest.mark.once
@pytest.mark.long
def test_several_workers_tell_the_same(tmp_path: Path) -> None:
    """With two workers every one of them counts all requests, and the threads of both."""
    (tmp_path / "counted_site.py").write_text(SCRIPT)
    folder = tmp_path / "shared"
    folder.mkdir()
    env: dict[str, Any] = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with Server("counted_site:app", "--workers", "2", folder=tmp_path, env=env) as server:
        server.wait_until_ready(timeout=60)
        for _ in range(40):
            with server.client() as client:  # Each connection may go to another worker.
                assert client.get("/api/hello").status_code == 200
        found = []
        for _ in range(8):
            with server.client() as client:
                found.append(samples(client.get("/metrics").text))
    name = "djfast_mount_request_duration_seconds_count{method=GET,owner=api,route=/api/hello,status=200}"
    assert {each[name] for each in found} == {40}
    assert found[-1]["djfast_mount_threads{}"] == 16


@pytest.mark.once
@pytest.mark.long
def test_a_worker_that_was_killed_is_not_counted_on(tmp_path: Path) -> None:
    """After a SIGKILL the threads and the active requests are those of the workers that live; what it served stays."""
    (tmp_path / "counted_site.py").write_text(SCRIPT)
    folder = tmp_path / "shared"
    folder.mkdir()
    env: dict[str, Any] = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    name = "djfast_mount_request_duration_seconds_count{method=GET,owner=api,route=/api/hello,status=200}"
    with Server("counted_site:app", folder=tmp_path, env=env) as first, first.client() as client:
        assert client.get("/api/hello").status_code == 200
        assert client.get("/metrics").status_code == 200
        first.process.kill()
        first.process.wait()
    assert list(folder.glob(f"gauge_live*_{first.process.pid}.db"))
    with Server("counted_site:app", folder=tmp_path, env=env) as second, second.client() as client:
        assert client.get("/api/hello").status_code == 200
        told = samples(client.get("/metrics").text)
    assert told["djfast_mount_threads{}"] == 8
    assert told["djfast_mount_active_requests{}"] <= 1
    assert told[name] == 2


def close_with(root: MountedApplication, code: int) -> None:
    """A websocket that its client closes."""
    received = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": code}])

    async def receive() -> dict[str, Any]:
        return next(received)

    async def send(message: Any) -> None:
        """Nothing is looked at."""

    scope = {**http_scope("/api/ws/codes"), "type": "websocket", "scheme": "ws", "subprotocols": []}
    asyncio.run(root(scope, receive, send))


def test_clients_choose_no_label() -> None:
    """A client may close a websocket with any of two thousand codes: those are one label, and the protocol's others."""
    with site(settings=SETTINGS) as root:
        for code in (1000, 1001, *range(3000, 3010), 4999):
            close_with(root, code)
        after = scrape(root)
    name = "djfast_mount_request_duration_seconds_count"
    found = [key for key in after if key.startswith(name) and "/api/ws/" in key]
    assert {key.rpartition("status=")[2] for key in found} == {"1000}", "1001}", "other}"}
