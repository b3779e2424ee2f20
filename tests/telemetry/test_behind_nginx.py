"""One trace from the client through nginx and uvicorn to each half, as its exporter tells of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from browser.serving import MIGRATE, manage
from harness import PYTHONPATH, Server
from nginx import nginx, nginx_command
from quickstart_site import fresh_database
from tracing_site import STEPS

pytest.importorskip("opentelemetry.sdk")

pytestmark = [pytest.mark.long, pytest.mark.once]

PREFIX = "/pre"
CALLER = "b7ad6b7169203331"


@pytest.fixture(scope="module", params=["", "1"], ids=["alone", "instrumented"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of the site under nginx's prefix, and the file with its spans."""
    if request.param:
        pytest.importorskip("opentelemetry.instrumentation.fastapi")
        pytest.importorskip("opentelemetry.instrumentation.django")
    try:
        nginx_command()
    except RuntimeError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("traced")
    spans = folder / "spans"
    spans.touch()
    with fresh_database(tmp_path_factory.mktemp("database")) as url:
        env = {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": PYTHONPATH, "DATABASE_URL": url}
        manage(env, *MIGRATE)
        traced = {**env, "TEST_SPANS": str(spans), "TEST_INSTRUMENTED": request.param}
        with (
            Server("traced_server:app", "--root-path", PREFIX, env=traced) as server,
            nginx(folder / "nginx", server.url, PREFIX, strip=True) as outside,
        ):
            yield outside, spans


def ended(file: Path, number: str) -> list[dict[str, Any]]:
    """The spans of one trace, once there has been no further one for a while."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        before, found = found, [json.loads(line) for line in file.read_text().splitlines()]
        found = [span for span in found if span["trace"] == number]
        if found == before and any(span["kind"] == "SERVER" for span in found):
            return found
        time.sleep(0.3)
    raise AssertionError(f"There is no server span: {found}")


@pytest.mark.parametrize("path", STEPS)
def test_one_trace_through_nginx(site: tuple[str, Path], path: str) -> None:
    """One server span, below that of the client; each other one has its parent among them, and leads up to it."""
    url, file = site
    route, steps = STEPS[path]
    number = f"{abs(hash((path, str(file)))):032x}"[:32]
    answer = httpx.get(f"{url}{path}", headers={"traceparent": f"00-{number}-{CALLER}-01"}, timeout=30)
    assert answer.status_code == 200
    spans = {span["id"]: span for span in ended(file, number)}
    [server] = [span for span in spans.values() if span["kind"] == "SERVER"]
    assert (server["name"], server["parent"]) == (f"GET {PREFIX}{route}", CALLER)
    for span in spans.values():
        upwards = [span]
        while upwards[-1] is not server:
            upwards.append(spans[upwards[-1]["parent"]])
    by_name = {span["name"]: span for span in spans.values()}
    assert steps <= by_name.keys()
    statements = [span for span in spans.values() if span["kind"] == "CLIENT"]
    assert {spans[span["parent"]]["name"] for span in statements} == steps
    assert len(statements) == len(steps)


def test_no_span_is_without_a_trace_of_a_client(site: tuple[str, Path]) -> None:
    """The spans of a request without `traceparent` are in one trace, whose only root is the server span."""
    url, file = site
    before = {json.loads(line)["trace"] for line in file.read_text().splitlines()}
    assert httpx.get(f"{url}/api/steps/gather", timeout=30).status_code == 200
    deadline = time.monotonic() + 20
    found: list[dict[str, Any]] = []
    while not any(span["kind"] == "SERVER" for span in found) and time.monotonic() < deadline:
        time.sleep(0.3)
        found = [json.loads(line) for line in file.read_text().splitlines()]
        found = [span for span in found if span["trace"] not in before]
    assert len({span["trace"] for span in found}) == 1
    assert [span["kind"] for span in found if span["parent"] is None] == ["SERVER"]
