"""What clients, listeners and exporters may do wrong: the request is answered, and the log has no line of theirs."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from opentelemetry import trace

from calls import HOST, ask, call, http_scope
from djfast_mount.telemetry import subscribe
from djfast_mount.telemetry.watchers import Watcher, Watching
from telemetry_site import records, site

pytestmark = pytest.mark.once

ODD_IDS = [
    b"",
    b"short",
    b"x" * 129,
    b"line\r\nset-cookie: a=b",
    b"abcdefgh\n",
    b"\nabcdefgh",
    b"abcdefgh\x00",
    b"abcdefgh\x1b[31m",
    b'{"a": "bcdefgh"}',
    b"<script>alert(1)</script>",
    "ünïcödé-id".encode(),
    b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8",
    b"%0d%0aabcdefgh",
    b"../../etc/passwd",
    b"${jndi:ldap://evil}",
    b"-abcdefgh",
]


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("path", ["/api/hello", "/plain/", "/healthz", "/nothing/"])
def test_no_odd_id_comes_back(path: str, heard: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An id that is none by the pattern is in no header and in no line of the log."""
    caplog.set_level(logging.INFO)
    with site(settings={"access_log": "text"} if heard else {}) as root:
        for odd in ODD_IDS:
            answer = asyncio.run(call(root, http_scope(path, headers=[*HOST, (b"x-request-id", odd)])))
            made = [value for name, value in answer.messages[0]["headers"] if name == b"x-request-id"]
            assert len(made) == 1
            assert made[0] != odd
            assert made[0].isalnum()
            assert len(made[0]) == 24
            assert all(odd.decode("latin-1") not in line for line in caplog.messages if len(odd) > 8)
            assert all(line.isprintable() for line in caplog.messages)


@pytest.mark.parametrize("path", ["/api/hello\n200 GET /admin/", "/nothing/\r\n\x1b[2J", "/api/\ud800", '/"quoted" "'])
def test_a_path_begins_no_line(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a path holds is quoted in the access log, which has one line for one request."""
    caplog.set_level(logging.INFO, logger="djfast_mount.access")
    scope = {**http_scope("/"), "path": path, "raw_path": b"/odd"}
    with site(settings={"access_log": "text"}) as root:
        asyncio.run(call(root, scope))
    [line] = [record.getMessage() for record in caplog.records if record.name == "djfast_mount.access"]
    assert line.isascii()
    assert line.isprintable()
    assert line.count('"') == 2


class Failing(Watcher):
    """An exporter that fails wherever it is called."""

    def _fail(self, *_: object) -> Any:
        raise RuntimeError("the exporter")

    begin = start = fail = note_statement = note_wait = end = add_outgoing = _fail


@pytest.mark.parametrize("path", ["/api/hello", "/api/sync/1", "/view/1/", "/api/broken", "/lines/"])
def test_an_exporter_that_fails_troubles_nobody(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is the one without it, the record is whole, and the log says which exporter failed."""
    with site() as root:
        expected = ask(root, path)
    made = Watching.__init__

    def with_failing(self: Watching, repeated_after: int, watchers: Any = ()) -> None:
        made(self, repeated_after, [*watchers, Failing()])

    monkeypatch.setattr(Watching, "__init__", with_failing)
    with records() as found, site() as root:
        answer = ask(root, path)
    assert (answer.status, answer.body) == (expected.status, expected.body)
    assert [record.status for record in found] == [expected.status]
    assert "Failing" in caplog.text


class Dead:
    """An exporter whose collector does not answer."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.over = threading.Event()

    def export(self, spans: object) -> Any:
        self.asked.set()
        self.over.wait(30)
        raise ConnectionError("the collector")

    def shutdown(self) -> None:
        """Nothing is open."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def test_a_dead_collector_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of both halves are answered while a batch of spans waits for the collector."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    dead, provider = Dead(), sdk.TracerProvider()
    processor = export.BatchSpanProcessor(dead, schedule_delay_millis=10, max_export_batch_size=1, max_queue_size=4)
    provider.add_span_processor(processor)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    try:
        with site(settings={"opentelemetry": True}) as root:
            assert ask(root, "/api/hello").status == 200
            assert dead.asked.wait(20)
            for _ in range(10):
                assert [ask(root, path).status for path in ("/api/sync/1", "/view/1/", "/api/hello")] == [200] * 3
            assert not dead.over.is_set()
    finally:
        dead.over.set()
        provider.shutdown()


def test_a_listener_that_subscribes_and_leaves_in_the_midst_troubles_nobody() -> None:
    """Listeners may come and go while they are told."""
    told: list[str] = []

    def leaving(record: object) -> None:
        told.append("leaving")
        unsubscribe()
        subscribe(coming)

    def coming(record: object) -> None:
        told.append("coming")

    unsubscribe = subscribe(leaving)
    try:
        with site() as root:
            for _ in range(3):
                assert ask(root, "/api/hello").status == 200
    finally:
        unsubscribe()
        subscribe(coming)()
    assert told == ["leaving", "coming", "coming"]


def test_a_thousand_methods_and_paths_are_few_labels() -> None:
    """Methods that HTTP does not define are one, and paths without a route have no name of their own."""
    with records() as found, site() as root:
        for number in range(200):
            ask(root, f"/api/nothing/{number}", method=f"METHOD{number}")
            ask(root, f"/nothing/{number}/", method="GET" if number % 2 else "lower")
    assert {record.method for record in found} == {"GET", "OTHER"}
    assert {record.route for record in found} == {None}


def test_lifespans_are_no_requests() -> None:
    """The start and the end of the server make no record."""

    async def live(root: Any) -> None:
        received = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> Any:
            return {"type": next(received)}

        sent: list[str] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await root({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    with records() as found, site() as root:
        asyncio.run(live(root))
    assert found == []
