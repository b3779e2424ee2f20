"""Ways to the database beside `execute()`: what goes them meets no other request. And what Django sends is plain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Count, Exists, F, OuterRef, Q, Value, Window
from django.db.models.functions import Coalesce, Concat, ExtractYear, Now, RowNumber, TruncDay
from django.test import Client
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.database.statement_effects import traces_of
from djfast_mount.database.watched_cursors import _HARMLESS
from lifespan_drive import Drive
from project.shop.models import Item

pytestmark = [pytest.mark.django_db(transaction=True)]
VENDOR = connection.vendor
on_postgresql = pytest.mark.skipif(VENDOR != "postgresql", reason="PostgreSQL's driver")
SET = "SELECT set_config('app.tenant', 'ann', false)"
api = FastAPI()


@pytest.fixture(autouse=True)
def persistent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections live on, as in production."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)


def by_callproc() -> None:
    with connection.cursor() as cursor:
        cursor.callproc("set_config", ["app.tenant", "ann", False])


def by_copy() -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY ({SET}) TO STDOUT") as copy:
        list(copy)


def by_copy_of_a_debug_cursor() -> None:
    connection.force_debug_cursor = True
    try:
        by_copy()
    finally:
        connection.force_debug_cursor = False


def by_stream() -> None:
    with connection.cursor() as cursor:
        list(cursor.stream(SET))


def by_the_drivers_cursor() -> None:
    with connection.cursor() as cursor:
        cursor.cursor.execute(SET)


def by_the_drivers_connection() -> None:
    connection.ensure_connection()
    connection.connection.execute(SET)


def by_a_cursor_of_the_drivers_connection() -> None:
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        cursor.execute(SET)


def by_a_function_around_execute() -> None:
    def other(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        return execute(SET, None, many, context)

    with connection.execute_wrapper(other), connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def by_execute() -> None:
    with connection.cursor() as cursor:
        cursor.execute('SELECT "set_config"(%s, %s, %s)', ["app.tenant", "ann", False])


WAYS = {
    way.__name__: way
    for way in (
        *(by_callproc, by_copy, by_copy_of_a_debug_cursor, by_stream, by_the_drivers_cursor),
        *(by_the_drivers_connection, by_a_cursor_of_the_drivers_connection, by_a_function_around_execute, by_execute),
    )
}


def seen(sql: str = "SELECT current_setting('app.tenant', true)") -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@api.get("/leave")
async def leave(way: str, wait: float = 0) -> Any:
    """Returns what the request itself sees in the end."""
    await sync_to_async(WAYS[way])()
    await asyncio.sleep(wait)
    return await sync_to_async(seen)()


@api.get("/see")
def see() -> Any:
    return seen()


@api.get("/backend")
def backend() -> Any:
    Item.objects.count()
    return seen("SELECT pg_backend_pid()")


@api.get("/script")
def script() -> Any:
    with connection.cursor() as cursor:
        cursor.executescript("CREATE TEMP TABLE mine AS SELECT 'of ann' AS secret")
        cursor.execute("SELECT secret FROM mine")
        return cursor.fetchone()[0]


@api.get("/tables")
def tables() -> Any:
    return seen("SELECT max(name) FROM sqlite_temp_master")


async def ask(*paths: str, at_once: bool = False) -> list[Any]:
    app = mount("/api", api, threads=1, host_check=False)
    async with (
        Drive(app),  # Its shutdown closes what lives on.
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver/api") as client,
    ):
        if not at_once:
            return [(await client.get(path)).json() for path in paths]
        first = asyncio.create_task(client.get(paths[0]))
        await asyncio.sleep(0.1)
        other = await client.get(paths[1])
        return [(await first).json(), other.json()]


@on_postgresql
@pytest.mark.parametrize("way", WAYS)
def test_what_was_set_on_another_way_is_not_seen_by_the_next(way: str) -> None:
    """What a request has set without Django's `execute()`, or by a hidden name, its next request does not see."""
    own, next_one = asyncio.run(ask(f"/leave?way={way}", "/see"))
    assert own == "ann"
    assert next_one in (None, "")


@on_postgresql
@pytest.mark.parametrize("way", ["by_callproc", "by_the_drivers_connection"])
def test_what_was_set_on_another_way_keeps_the_thread(way: str) -> None:
    """A request that waits meanwhile gives its connection to nobody, and finds on it what it has set."""
    own, other = asyncio.run(ask(f"/leave?way={way}&wait=0.5", "/see", at_once=True))
    assert own == "ann"
    assert other in (None, "")


@on_postgresql
def test_what_django_sends_by_itself_keeps_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain queries, and a check of the connection's health, lead to no other backend."""
    monkeypatch.setitem(connections.settings["default"], "CONN_HEALTH_CHECKS", True)
    found = asyncio.run(ask(*["/backend"] * 3))
    assert len(set(found)) == 1


@on_postgresql
def test_the_names_of_psycopg() -> None:
    """The canary: psycopg's generators are called as `watch_raw()` knows them, and its connection has `wait`."""
    psycopg = pytest.importorskip("psycopg")
    classes = (psycopg.Connection, psycopg.ServerCursor)
    known = {name for each in classes for kind in each.__mro__ for name in vars(kind)}
    assert {"_commit_gen", "_rollback_gen", "_set_autocommit_gen", "_fetch_gen", "_close_gen"} == _HARMLESS
    assert {*_HARMLESS, "wait"} <= known


def test_the_names_of_djangos_cursor() -> None:
    """The canary: `execute()` and `executemany()` of Django's cursor end in methods that can be overridden."""
    assert {"_execute", "_executemany", "callproc", "__getattr__"} <= vars(CursorWrapper).keys()


@pytest.mark.skipif(VENDOR != "sqlite", reason="SQLite's driver")
def test_a_script_of_sqlite_is_not_seen_by_the_next() -> None:
    """A temporary table that `executescript()` has made is gone with the next request."""
    own, next_one = asyncio.run(ask("/script", "/tables"))
    assert own == "of ann"
    assert next_one is None


# What Django sends -------------------------------------------------------------------------------------------------


@pytest.fixture
def texts() -> Iterator[set[str]]:
    """The texts of all statements that are executed meanwhile."""
    found: set[str] = set()

    def note(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        found.add(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(note):
        yield found


def marked(texts: set[str]) -> list[str]:
    return [sql for sql in texts if traces_of(sql, VENDOR)]


def test_all_that_the_orm_sends_is_plain(texts: set[str]) -> None:
    """No query of the ORM, of any kind, counts as one that leaves something: none costs a DISCARD ALL."""
    group = Group.objects.create(name="one")
    user = User.objects.create_user("ann")
    user.groups.set([group])
    Item.objects.bulk_create([Item(name="a"), Item(name="b")])
    Item.objects.bulk_create([Item(pk=1_000_000, name="c")], ignore_conflicts=True)
    conflicts = {"update_conflicts": True, "update_fields": ["name"], "unique_fields": ["id"]}
    Item.objects.bulk_create([Item(pk=1_000_000, name="d")], **(conflicts if VENDOR != "mysql" else {"batch_size": 1}))
    Item.objects.get_or_create(name="e")
    Item.objects.update_or_create(name="e", defaults={"name": "f"})
    Item.objects.filter(name__icontains="a").update(name=Concat(F("name"), Value("x")))
    items = list(Item.objects.all())
    Item.objects.bulk_update(items, ["name"])
    list(Item.objects.values("name").annotate(number=Count("pk")).filter(number__gt=1).order_by("-number")[:5])
    list(Item.objects.annotate(row=Window(RowNumber(), order_by="name"), at=Now()))
    list(Item.objects.filter(pk__in=Item.objects.filter(Q(name="a") | ~Q(name="b"))).union(Item.objects.filter(pk=1)))
    users = User.objects.annotate(day=TruncDay("date_joined"), year=ExtractYear("date_joined"))
    list(users.filter(Exists(Group.objects.filter(user=OuterRef("pk")))).prefetch_related("groups"))
    list(Permission.objects.select_related("content_type"))
    list(users.values(named=Coalesce("first_name", Value(""))).distinct())
    list(User.objects.iterator(chunk_size=1))
    with transaction.atomic(), transaction.atomic():
        list(User.objects.select_for_update())
    user.delete()
    Item.objects.all().delete()
    assert len(texts) > 30
    assert not marked(texts)


def test_all_that_the_admin_sends_is_plain(client: Client, texts: set[str]) -> None:
    """Nothing that a login, and the admin's lists and forms, send counts as a statement that leaves something."""
    boss = User.objects.create_superuser("boss", password="secret")
    assert client.login(username="boss", password="secret")
    answers = [
        client.get("/admin/auth/user/?q=o&is_staff__exact=1&o=1"),
        client.get(f"/admin/auth/user/{boss.pk}/change/"),
    ]
    answers += [client.post("/admin/auth/group/add/", {"name": "one", "permissions": [Permission.objects.all()[0].pk]})]
    group = Group.objects.get(name="one")
    answers += [client.post(f"/admin/auth/group/{group.pk}/change/", {"name": "two"})]
    answers += [client.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}), client.get("/admin/")]
    assert [answer.status_code for answer in answers] == [200, 200, 302, 302, 302, 200]
    assert len(texts) > 20
    assert not marked(texts)
