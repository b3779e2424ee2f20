"""What is seen of a connection's session, how it is reset, and what happens where Django has moved a name.

Holds `database/connection_attributes.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection as of_the_test
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.database import session_state
from djfast_mount.database.connections import PoolThread
from djfast_mount.database.session_state import Session, session_of, watch_connections
from djfast_mount.threads.worker import Slot
from project.shop.models import Item

pytestmark = pytest.mark.django_db(transaction=True)

IS_POSTGRES = of_the_test.vendor == "postgresql"


@pytest.fixture
def slot(monkeypatch: pytest.MonkeyPatch) -> Slot:
    """The calling thread is a worker's, with this slot."""
    slot = Slot()
    monkeypatch.setattr(session_state, "current_worker", lambda: SimpleNamespace(slot=slot))
    return slot


@pytest.fixture
def own(slot: Slot) -> Iterator[Any]:
    """The thread's connection, watched as a worker's is, in the place of the test's."""
    before = connections["default"]
    made = connections.create_connection("default")
    if session_of(made) is None:
        Session(made)
    connections["default"] = made
    yield made
    for each in {connections["default"], made}:
        each.close()
    for raw, _ in slot.stock.values():
        raw.close()
    connections["default"] = before


def session(connection: Any) -> Session:
    found = session_of(connection)
    assert found is not None
    return found


def run(connection: Any, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone() if cursor.description else None


def test_what_django_does_by_itself_leaves_nothing(own: Any) -> None:
    """Queries, writes, transactions, iterators that are read to their end, and what connecting sets, are no state."""
    Item.objects.create(name="one")
    assert [item.name for item in Item.objects.iterator()] == ["one"]
    with transaction.atomic(), transaction.atomic():
        Item.objects.count()
    own.close()
    Item.objects.count()
    assert own.timezone_name is not None
    assert own.data_types
    assert session(own).is_clean()
    assert not session(own).keeps()


def test_a_half_read_iterator_is_seen(own: Any) -> None:
    """An iterator() that was not read to its end keeps the connection; closed, it does not."""
    Item.objects.bulk_create([Item(name=f"{number}") for number in range(3)])
    rows = Item.objects.iterator(chunk_size=1)
    next(rows)
    assert session(own).keeps()
    assert not session(own).is_clean()
    rows.close()
    assert not session(own).keeps()


@pytest.mark.parametrize("value", [None, False])
def test_an_attribute_without_a_value_is_no_state(own: Any, value: object) -> None:
    """What instrumentation marks as not done yet is no state."""
    own.a_mark = value
    assert session(own).is_clean()


def test_an_attribute_is_seen(own: Any) -> None:
    """An attribute that is set, and one of connecting's that is changed or taken away, are seen."""
    assert session(own).is_clean()
    own.tenant = "ann"
    assert session(own).carries()
    assert not session(own).keeps()
    del own.tenant
    assert session(own).is_clean()


def test_what_receivers_of_connection_created_set_is_no_requests(own: Any) -> None:
    """Attributes and SQL of a receiver of connection_created belong to the connection, changed ones to a request."""

    def set_up(connection: Any, **_: Any) -> None:
        connection.role = {"name": "reader"}
        run(connection, "set app.role = 'reader'" if IS_POSTGRES else "pragma cache_size = 100")

    connection_created.connect(set_up)
    try:
        Item.objects.count()
        assert session(own).is_clean()
        own.role["name"] = "writer"
        assert not session(own).is_clean()
    finally:
        connection_created.disconnect(set_up)


def test_what_is_left_among_execute_wrappers_is_seen(own: Any) -> None:
    """A wrapper of a request's queries that was not taken away, and a debug cursor that was left on, are seen."""
    with own.execute_wrapper(lambda execute, *args: execute(*args)):
        assert not session(own).is_clean()
    assert session(own).is_clean()
    own.force_debug_cursor = True
    assert not session(own).is_clean()


def test_a_raw_connection_is_taken_over(own: Any, slot: Slot) -> None:
    """A connection that was given up is used by the thread's next, as old as it is, and set up again."""
    Item.objects.count()
    raw = own.connection
    own.close_at = time.monotonic() + 5
    session(own).surrender(slot.stock)
    assert own.connection is None
    other = connections.create_connection("default")
    if session_of(other) is None:
        Session(other)
    connections["default"] = other
    assert run(other, "select 1") == (1,)
    assert other.connection is raw
    assert other.close_at == own.close_at
    assert slot.stock == {}


def test_one_that_is_too_old_is_not_taken_over(own: Any, slot: Slot) -> None:
    """A connection whose age is over when it is asked for is closed, and a new one made."""
    Item.objects.count()
    raw = own.connection
    own.close_at = time.monotonic() - 1
    session(own).surrender(slot.stock)
    Item.objects.count()
    assert own.connection is not raw


def test_two_that_were_given_up_do_not_add_up(own: Any, slot: Slot) -> None:
    """A slot has one connection to a database: one that nobody has asked for is closed."""
    Item.objects.count()
    session(own).surrender(slot.stock)
    first = slot.stock.pop("default")
    Item.objects.count()
    slot.stock["default"] = first
    session(own).surrender(slot.stock)
    assert slot.stock["default"][0] is not first[0]


@pytest.mark.skipif(not IS_POSTGRES, reason="others are closed")
def test_a_session_of_postgresql_is_reset(own: Any, slot: Slot) -> None:
    """A setting, a lock and a temporary table are gone after DISCARD ALL, and the backend is the same."""
    before = run(own, "select pg_backend_pid()")
    own.close_at = None
    for sql in ("set app.who = 'ann'", "select pg_advisory_lock(7)", "create temp table mine (id int)"):
        run(own, sql)
    session(own).surrender(slot.stock)
    assert run(own, "select pg_backend_pid()") == before
    assert run(own, "select current_setting('app.who', true)") in [("",), (None,)]
    assert run(own, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()") == (0,)
    assert session(own).is_clean()
    # A text that names what one session alone sees is no plain one.
    assert run(own, "select to_regclass('pg_temp.mine')::text") == (None,)
    assert not session(own).is_clean()


@pytest.mark.parametrize("sql", ["listen news", "set app.who = 'ann'"] if IS_POSTGRES else ["pragma cache_size = 7"])
def test_what_cannot_be_reset_is_closed(own: Any, slot: Slot, sql: str) -> None:
    """Another database, a channel's notifications, and statements that the driver has prepared, end with a close."""
    run(own, sql)
    raw = own.connection
    if IS_POSTGRES and sql.startswith("set"):
        raw.prepare_threshold = 5
    session(own).surrender(slot.stock)
    assert slot.stock == {}
    assert own.connection is None
    if IS_POSTGRES:
        assert raw.closed


def test_a_package_forgets_what_it_knew_of_its_session(own: Any, slot: Slot) -> None:
    """The wrapper's own close() is called where its raw connection is taken away: packages note there what they set."""
    closed: list[Any] = []

    class Noting(type(own)):  # type: ignore[misc]
        def close(self) -> None:
            closed.append(self.connection)
            super().close()

    own.close()
    made = Noting(own.settings_dict, "default")
    Session(made)
    connections["default"] = made
    Item.objects.count()
    session(made).surrender(slot.stock)
    assert closed == [None]


def test_a_backend_that_sets_with_each_cursor(own: Any, slot: Slot) -> None:
    """What a backend sets whenever it makes a cursor, as django-tenants does, is reset, but keeps no thread."""

    class Setting(type(own)):  # type: ignore[misc]
        def _cursor(self, name: str | None = None) -> Any:
            cursor = super()._cursor() if name is None else super()._cursor(name)
            if name is None:
                cursor.execute("set app.who = 'ann'" if IS_POSTGRES else "pragma cache_size = 7")
            return cursor

    own.close()
    made = Setting(own.settings_dict, "default")
    Session(made)
    connections["default"] = made
    Item.objects.count()
    assert not session(made).keeps()
    assert not session(made).is_clean()


MOVED = ("connect", "get_new_connection", "chunked_cursor", "_cursor")


@pytest.mark.parametrize("name", MOVED)
def test_where_a_name_has_moved_nothing_is_kept(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A Django without one of the names makes a line in the log, and no connection is watched or kept."""
    monkeypatch.delitem(vars(connections), "create_connection", raising=False)
    hidden = getattr(BaseDatabaseWrapper, name)
    monkeypatch.delattr(BaseDatabaseWrapper, name)
    session_state._is_blind.cache_clear()
    try:
        watch_connections()
        assert "create_connection" not in vars(connections)
        assert f"BaseDatabaseWrapper.{name}" in caplog.text
    finally:
        setattr(BaseDatabaseWrapper, name, hidden)
        session_state._is_blind.cache_clear()
        monkeypatch.undo()
        watch_connections()


@pytest.mark.parametrize("name", session_state._ATTRIBUTES)
def test_where_an_attribute_has_moved_nothing_is_kept(name: str, monkeypatch: pytest.MonkeyPatch, own: Any) -> None:
    """Each attribute that is read is Django's; where one is gone, no connection is fit for another request."""
    assert session_state._missing_names() == []
    stored = session_state.stored_names(BaseDatabaseWrapper)
    monkeypatch.setattr(session_state, "stored_names", lambda kind: stored - {name})
    assert session_state._missing_names() == [f"BaseDatabaseWrapper.{name}"]
    session_state._is_blind.cache_clear()
    try:
        own.ensure_connection()
        assert session(own).keeps()
        assert not session(own)._is_fit(own.connection)
    finally:
        session_state._is_blind.cache_clear()


def test_an_unwatched_connection_is_closed_after_its_spell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection of which nobody knows what it carries keeps its thread, and goes with its request."""
    before = connections["default"]
    made = connections.create_connection("default")
    connections["default"] = made
    try:
        Item.objects.count()
        hooks = PoolThread(None)
        lease: Any = SimpleNamespace(open=False, parking=False, goes_on=True, carried=None)
        assert hooks.keeps(lease)
        hooks.end(lease)
        assert connections["default"] is not made
        assert made.connection is None
    finally:
        connections["default"].close()
        connections["default"] = before
