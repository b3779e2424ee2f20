"""`djfast_mount.testing.Client`: API calls in the test's own thread, connection and transaction.

Holds `database/borrowed_thread.py`, `testing/http_exchange.py`, `testing/loop_thread.py`, `testing/requests.py`,
`testing/scopes.py`, `testing/server.py` and `testing/answered_errors.py`.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.core import mail
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from fastapi import FastAPI

from api_client import both
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.testing import Client
from djfast_mount.transactions import Atomic
from project.library.models import Author
from project.shop.models import Item
from testing_project import items_api
from testing_project.items_api import api, events, names, remembered, root

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh")]
NumQueries = Callable[[int], AbstractContextManager[CaptureQueriesContext]]


@pytest.fixture
def fresh(settings: Any) -> None:
    settings.ROOT_URLCONF = "testing_project.item_pages"
    events.clear()


@pytest.fixture
def client(root_path: str) -> Iterator[Client]:
    client = Client(root, root_path=root_path)
    yield client
    client.close()


def here() -> str:
    return threading.current_thread().name


@pytest.mark.parametrize("path", ["/api/items", "/api/async-items", "/api/through"])
def test_an_endpoint_sees_uncommitted_rows(path: str, client: Client, django_assert_num_queries: NumQueries) -> None:
    """A row of the test's open transaction is seen by sync and async endpoints, and their query counts."""
    Item.objects.create(name="uncommitted")
    with django_assert_num_queries(1):
        assert client.get(path).json() == ["uncommitted"]


def test_a_view_sees_uncommitted_rows(client: Client, django_assert_num_queries: NumQueries) -> None:
    """Django's half runs in the test's thread and transaction too."""
    Item.objects.create(name="uncommitted")
    with django_assert_num_queries(1):
        assert client.get("/items/").json() == {"names": ["uncommitted"], "thread": here()}


def test_all_sync_work_is_done_by_the_tests_thread(client: Client, django_assert_num_queries: NumQueries) -> None:
    """Both halves of a `yield` dependency, the endpoint and `sync_to_async` run there; the event loop does not."""
    with django_assert_num_queries(2):
        found = client.get("/api/threads").json()
    assert found.pop("loop") != here()
    assert found == {"count": 0, "orm": here()}
    assert events == [f"enter on {here()}", f"exit on {here()} with 0"]


def test_a_call_returns_after_its_background_tasks(client: Client) -> None:
    """What a background task writes is there when the call returns, written in the test's thread."""
    response = client.post("/api/items/new")
    assert (response.status_code, response.json()["thread"]) == (201, here())
    assert names() == ["new", f"new, noted on {here()}"]


def test_rows_of_the_api_go_with_the_tests_savepoint(client: Client) -> None:
    """An API call is part of the test's transaction: rolled back with it, seen by the test until then."""
    with transaction.atomic():
        client.post("/api/items/new")
        assert Item.objects.filter(name="new").exists()
        transaction.set_rollback(True)
    assert names() == []


def test_an_atomic_block_of_the_api_rolls_back_alone(client: Client) -> None:
    """An error inside `atomic` in an endpoint undoes the block, not what the test has written."""
    Item.objects.create(name="kept")
    with pytest.raises(LookupError):
        client.post("/api/half/lost")
    assert names() == ["kept"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_conflict_spoils_the_transaction_unless_the_call_is_atomic(kind: str, root_path: str) -> None:
    """An IntegrityError at the end of a call breaks the test's transaction, as in Django; Atomic gives a savepoint."""
    conflicting = FastAPI()

    def twice() -> None:
        for _ in range(2):
            Author.objects.create(name="Sand")

    @both(conflicting, "POST", "/plain")
    def plain() -> None:
        twice()

    @both(conflicting, "POST", "/atomic")
    def inside(_: Atomic) -> None:
        twice()

    with Client(mount("/api", conflicting), root_path=root_path) as client:
        assert client.post(f"/api/{kind}/atomic").status_code == 409
        assert not Author.objects.exists()
        assert client.post(f"/api/{kind}/plain").status_code == 409
        with pytest.raises(TransactionManagementError):
            Author.objects.exists()
        transaction.set_rollback(False)


def test_an_atomic_block_left_open_is_rolled_back(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """An endpoint that leaves a block open loses what it wrote, is reported, and leaves the test's transaction."""
    Item.objects.create(name="kept")
    depth = len(connection.atomic_blocks)
    client.post("/api/left-open")
    assert len(connection.atomic_blocks) == depth
    assert names() == ["kept"]
    assert "left a transaction open" in caplog.text


def test_mail_and_commit_callbacks_are_the_tests(client: Client, settings: Any) -> None:
    """`mail.outbox` holds what the API sends, and `captureOnCommitCallbacks` what it has left for the commit."""
    # Django 6.1 asks for it.
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    with TestCase.captureOnCommitCallbacks(execute=True) as callbacks:
        client.post("/api/mail")
        assert events == []
    assert (len(callbacks), events) == (1, ["committed"])
    assert [message.subject for message in mail.outbox] == ["Subject"]


def test_overridden_settings_are_seen(client: Client, settings: Any) -> None:
    """A setting that the test overrides holds for its calls."""
    settings.ALLOWED_HOSTS = ["elsewhere"]
    assert client.get("/api/items").status_code == 400
    assert client.get("http://elsewhere/api/items").status_code == 200


def test_dependency_overrides_hold(client: Client) -> None:
    """FastAPI's own way of replacing a dependency works through the root."""
    api.dependency_overrides[items_api.count_items] = lambda: 42
    try:
        assert client.get("/api/threads").json()["count"] == 42
    finally:
        api.dependency_overrides.clear()


def test_context_goes_in_and_does_not_come_out(client: Client) -> None:
    """The app sees the test's context variables and language; what it sets there is gone with the request."""
    token = remembered.set("by the test")
    try:
        with translation.override("de"):
            assert client.post("/api/language/fr").json() == "by the test de"
            assert (remembered.get(), translation.get_language()) == ("by the test", "de")
    finally:
        remembered.reset(token)


def test_the_signals_are_sent_and_the_connection_stays(client: Client) -> None:
    """Each request sends Django's two signals once, in the test's thread, and closes no connection."""
    sent: list[tuple[str, str]] = []

    def started(**_: object) -> None:
        sent.append(("started", here()))

    def finished(**_: object) -> None:
        sent.append(("finished", here()))

    raw = connection.connection
    request_started.connect(started)
    request_finished.connect(finished)
    try:
        client.get("/api/threads")
        client.get("/items/")
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)
    assert sent == [("started", here()), ("finished", here())] * 2
    assert connection.connection is raw


def test_a_late_task_waits_for_the_tests_thread(client: Client) -> None:
    """A task that outlives its request does its ORM work in the test's thread and transaction, in later calls."""
    client.post("/api/late/late")
    while not events:
        client.get("/api/items")
    assert names() == ["late"]
    assert events == [f"created on {here()}"]


def test_a_late_task_is_ended_with_the_client(client: Client) -> None:
    """Closing the client ends what its requests have left behind, without a warning."""
    client.post("/api/late/late")
    task = next(iter(items_api.tasks))
    client.close()
    assert task.done()
    items_api.tasks.clear()


def test_a_client_can_be_called_by_what_it_calls(client: Client) -> None:
    """A dependency that calls the client again, in the test's thread, gets its answer."""
    Item.objects.create(name="inner")
    api.dependency_overrides[items_api.count_items] = lambda: len(client.get("/api/items").json())
    try:
        assert client.get("/api/threads").json()["count"] == 1
    finally:
        api.dependency_overrides.clear()


def test_djangos_own_handler_keeps_the_connection(root_path: str) -> None:
    """Also where Django itself sends the signals, no connection of the test is closed."""
    Item.objects.create(name="uncommitted")
    with Client(mount("/api", api, django_handler="django"), root_path=root_path) as client:
        for _ in range(2):
            assert client.get("/items/").json() == {"names": ["uncommitted"], "thread": here()}
            assert client.get("/whoami/").text == "AnonymousUser"
    assert names() == ["uncommitted"]


def test_any_asgi_app_can_be_called(root_path: str) -> None:
    """Django's own application, without a root of ours, does its sync work in the test's thread."""
    Item.objects.create(name="uncommitted")
    kept = [signal for signal in (request_started, request_finished) if signal.disconnect(close_old_connections)]
    try:
        with Client(get_asgi_application(), root_path=root_path) as client:
            assert client.get("/items/").json() == {"names": ["uncommitted"], "thread": here()}
    finally:
        for signal in kept:
            signal.connect(close_old_connections)


# Errors --------------------------------------------------------------------------------------------------------------


def test_what_an_endpoint_raises_is_raised(client: Client) -> None:
    """The endpoint's own exception reaches the test, with its traceback."""
    with pytest.raises(LookupError, match="lost") as raised:
        client.post("/api/half/lost")
    assert raised.traceback[-1].name == "create_half"


def test_what_a_view_raises_is_raised(client: Client) -> None:
    """Also where Django has made a response of it."""
    with pytest.raises(LookupError, match="in a view"):
        client.get("/broken/")


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/half/lost"), ("GET", "/broken/")])
def test_errors_are_answered_on_demand(method: str, path: str, root_path: str) -> None:
    """With raise_server_exceptions=False the test gets the 500 that a client gets."""
    with Client(root, root_path=root_path, raise_server_exceptions=False) as client:
        assert client.request(method, path).status_code == 500


def test_an_endpoint_cannot_end_the_test_run(client: Client) -> None:
    """A SystemExit of an endpoint is raised in the test, and the client goes on."""
    with pytest.raises(SystemExit):
        client.get("/api/exit")
    assert client.get("/api/items").json() == []


# Threads -------------------------------------------------------------------------------------------------------------


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "event loop" in thread.name]


def test_a_closed_client_leaves_no_thread(client: Client) -> None:
    """One thread while the client is open, none once it is closed; closing twice is no fault."""
    gc.collect()  # What other tests have forgotten goes first.
    before = loop_threads()
    client.get("/api/threads")
    assert len(loop_threads()) == len(before) + 1
    client.close()
    client.close()
    assert loop_threads() == before


def test_a_forgotten_client_leaves_no_thread(root_path: str) -> None:
    """A client that is never closed ends its thread when it is collected."""
    gc.collect()  # What other tests have forgotten goes first.
    before = loop_threads()
    Client(root, root_path=root_path).get("/api/items")
    gc.collect()
    assert loop_threads() == before


def test_a_client_refuses_two_threads_at_once(client: Client) -> None:
    """A call from another thread, while one is under way, is an error and no hang."""
    caught: list[BaseException] = []

    def call() -> None:
        try:
            client.get("/api/items")
        except RuntimeError as error:
            caught.append(error)

    def call_elsewhere() -> int:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return 1

    api.dependency_overrides[items_api.count_items] = call_elsewhere
    try:
        client.get("/api/threads")
    finally:
        api.dependency_overrides.clear()
    assert "another thread" in str(caught[0])


async def call_from_async_code(client: Client) -> None:
    client.get("/api/items")


def test_a_client_refuses_async_code(client: Client) -> None:
    """In a coroutine the error names AsyncClient."""
    coroutine = call_from_async_code(client)
    with pytest.raises(RuntimeError, match="Use AsyncClient"):
        asyncio.run(coroutine)


def test_there_must_be_an_app() -> None:
    """Without an app the error names the setting, and with a wrong name the name."""
    with pytest.raises(ConfigurationError, match=r"settings\.ASGI_APPLICATION is not set"):
        Client()
    with pytest.raises(ConfigurationError, match="'nowhere:app' for tests cannot be imported"):
        Client("nowhere.app")


@pytest.mark.parametrize("name", ["testing_project.items_api:root", "testing_project.items_api.root"])
def test_an_app_can_be_named(name: str, root_path: str) -> None:
    """By uvicorn's word for it, and by Django's."""
    with Client(name, root_path=root_path) as client:
        assert client.get("/api/items").json() == []


def test_the_setting_names_the_app(settings: Any, root_path: str) -> None:
    """settings.ASGI_APPLICATION is the app of a client that is given none."""
    settings.ASGI_APPLICATION = "testing_project.items_api.root"
    with Client(root_path=root_path) as client:
        assert client.get("/api/items").json() == []


# The lifespan --------------------------------------------------------------------------------------------------------


def test_the_lifespan_runs_once(client: Client) -> None:
    """It runs around the block, in the test's transaction, and its state is seen by every request in the block."""
    Item.objects.create(name="uncommitted")
    assert client.post("/api/echo").json()["state"] is None
    with client:
        for _ in range(2):
            assert client.post("/api/echo").json()["state"] == "by the lifespan"
        with pytest.raises(RuntimeError, match="entered already"):
            client.__enter__()
        assert len(events) == 1
    assert events[0].startswith("up with 1 items")
    assert events[1:] == ["down"]
    assert client.post("/api/echo").json()["state"] is None


def test_a_failing_startup_fails_the_test(root_path: str) -> None:
    """What keeps the app from starting is raised where the client is entered."""

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no fuel"})

    client = Client(fails, root_path=root_path)
    with pytest.raises(RuntimeError, match="no fuel"), client:
        pass
    client.close()
