"""django-debug-toolbar and django-silk see API calls under ASGI, where their middleware is for the API too."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from browser.serving import MIGRATE, manage
from harness import PYTHONPATH, Server

pytest.importorskip("debug_toolbar")
pytest.importorskip("silk")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiled") / "db.sqlite3"


@pytest.fixture(scope="module")
def client(database: Path) -> Iterator[httpx.Client]:
    env = {
        "DJANGO_SETTINGS_MODULE": "third_party.profiled_settings",
        "PYTHONPATH": PYTHONPATH,
        "DATABASE_URL": f"sqlite:///{database}",
    }
    manage(env, *MIGRATE)
    with (
        Server("third_party.profiled:app", env=env) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield client


def panel(client: httpx.Client, request_id: str, name: str) -> str:
    """What the toolbar's script asks for when a panel is opened."""
    answer = client.get("/__debug__/render_panel/", params={"request_id": request_id, "panel_id": name})
    return str(answer.json()["content"])


@pytest.mark.parametrize("kind", ["def", "async"])
def test_debug_toolbar_records_a_call(client: httpx.Client, kind: str) -> None:
    """A call has an id of the toolbar, by which the SQL panel shows its statements and the history its path."""
    call = client.get(f"/api/{kind}/2")
    assert call.json() == 0
    assert "shop_item" in panel(client, call.headers["djdt-request-id"], "SQLPanel")
    page = client.get("/admin/login/")
    history = panel(client, page.headers["djdt-request-id"], "HistoryPanel")
    assert call.headers["djdt-request-id"] in history
    assert f"/api/{kind}/2" in history


def test_silk_counts_the_queries_of_each_call(client: httpx.Client, database: Path) -> None:
    """Calls that run at once, on threads and on the event loop, are each recorded with their own queries."""
    calls = [f"/api/{kind}/{count}" for count in range(3, 9) for kind in ("def", "async")]
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = threads.map(lambda path: httpx.get(client.base_url.join(path), timeout=30).status_code, calls)
        assert list(answers) == [200] * len(calls)
    with sqlite3.connect(database) as connection:
        recorded = dict(connection.execute("SELECT path, num_sql_queries FROM silk_request"))
    assert {path: recorded.get(path) for path in calls} == {path: int(path.rpartition("/")[2]) for path in calls}
    page = client.get("/silk/requests/")
    assert page.status_code == 200
    assert re.search(r"/api/(def|async)/\d", page.text)
