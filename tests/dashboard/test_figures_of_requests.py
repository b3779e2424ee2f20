"""What `/admin/mount/` tells of requests that were served: through both halves, on SQLite and PostgreSQL.

Holds `dashboard/leaks.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import override_settings
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from djfast_mount.dashboard import contents
from djfast_mount.testing import Client
from project.shop.models import Item

pytestmark = pytest.mark.django_db

api = FastAPI()


@api.get("/seen/items/{item_id}")
def item(item_id: int) -> int:
    return item_id


@api.get("/seen/fault")
async def fault() -> None:
    raise ValueError("secret-of-a-fault")


@api.get("/seen/again-and-again")
def again_and_again() -> int:
    for number in range(12):
        Item.objects.filter(name=f"secret-{number}").first()  # here it repeats itself
    return 12


@api.get("/seen/left-open")
def left_open() -> None:
    transaction.atomic().__enter__()


@pytest.fixture(scope="module")
def root() -> Iterator[MountedApplication]:
    with override_settings(DJFAST_MOUNT={"telemetry": True}):
        yield mount("/api", api)


@pytest.fixture
def client(root: MountedApplication, root_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(contents, "FRESH", -1.0)
    with Client(root, root_path=root_path, raise_server_exceptions=False) as client:
        client.force_login(User.objects.create_superuser("root"))
        yield client


def rows(client: Client, key: str) -> list[list[str]]:
    told = client.get("/admin/mount/figures.json").json()
    found: list[list[str]] = next(table["rows"] for table in told["tables"] if table["key"] == key)
    return found


def row(client: Client, key: str, route: str) -> list[str]:
    return next(row for row in rows(client, key) if route in row)


def test_routes_of_both_halves_are_counted(client: Client, root_path: str) -> None:
    """A route has its owner, its method and its template with the whole prefix, and no value of the path."""
    for number in (7, 8):
        assert client.get(f"/api/seen/items/{number}").status_code == 200
    client.get("/admin/")
    api_row = row(client, "requests", f"GET {root_path}/api/seen/items/{{item_id}}")
    assert (api_row[0], api_row[4]) == ("api", "0")
    assert int(api_row[3]) >= 2
    assert row(client, "requests", f"GET {root_path}/admin/")[0] == "django"
    assert not [path for _, path, *_ in rows(client, "requests") if "/seen/items/7" in path]


@pytest.mark.parametrize("path", ["/admin/mount/", "/admin/mount/figures.json"])
def test_the_page_does_not_count_itself(client: Client, root_path: str, path: str) -> None:
    """To look is no request of the project; to be refused is."""

    def counted() -> list[str]:
        return [row[3] for row in rows(client, "requests") if f"GET {root_path}{path}" in row]

    before = counted()
    assert client.get(path).status_code == 200
    assert counted() == before
    client.cookies.clear()
    assert client.get(path).status_code in (302, 403)
    client.force_login(User.objects.get())
    assert counted() != before


def test_errors_are_counted(client: Client, root_path: str) -> None:
    """An exception that nobody handles counts as an error, and what it says is told nowhere."""
    assert client.get("/api/seen/fault").status_code == 500
    assert int(row(client, "requests", f"GET {root_path}/api/seen/fault")[4]) >= 1
    assert "secret-of-a-fault" not in client.get("/admin/mount/figures.json").text


def test_a_planted_n_plus_one_is_named_with_its_line(client: Client, root_path: str) -> None:
    """The suspicion has the route, the line that sends the statement, its shape, and how often; no value."""
    assert client.get("/api/seen/again-and-again").status_code == 200
    found = row(client, "suspicions", f"GET {root_path}/api/seen/again-and-again")
    lines, first = inspect.getsourcelines(again_and_again)
    sent = next(place for place, line in enumerate(lines, first) if "here it repeats itself" in line)
    assert found[1] == f"{__file__}:{sent}"
    assert found[2].startswith("SELECT")
    assert "shop_item" in found[2]
    assert found[3] == "12"
    assert "secret-" not in client.get("/admin/mount/figures.json").text


def test_a_planted_leak_is_shown(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A request that leaves a transaction open is told of with its route and the alias, each time that it does."""
    before = [int(times) for where, _, times in rows(client, "leaks") if where == "GET /api/seen/left-open"]
    for _ in range(2):
        assert client.get("/api/seen/left-open").status_code == 200
    assert "left a transaction open" in caplog.text
    _, what, times = row(client, "leaks", "GET /api/seen/left-open")
    assert (what, int(times)) == ("left a transaction open on 'default'", sum(before) + 2)


def test_charts_have_as_many_slots_as_there_are(client: Client) -> None:
    """Each course has the same slots, that of all routes and those of the first routes."""
    client.get("/api/seen/items/1")
    told = client.get("/admin/mount/figures.json").json()["charts"]
    lengths = {len(course) for chart in (told["whole"], *told["routes"]) for course in chart.values()}
    assert lengths == {30}
    assert told["end"] % told["step"] == 0
