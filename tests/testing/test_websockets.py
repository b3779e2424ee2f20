"""Websockets of `djfast_mount.testing.Client`.

Holds `testing/websocket_messages.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from starlette.websockets import WebSocketDisconnect

from djfast_mount.testing import Client, WebSocketDenied
from project.shop.models import Item
from testing_project.items_api import events, names, root

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(root_path: str) -> Iterator[Client]:
    events.clear()
    client = Client(root, root_path=root_path)
    yield client
    client.close()


def test_a_websocket_is_in_the_tests_transaction(client: Client) -> None:
    """Its sync work runs in the test's thread, between the calls of a test that writes meanwhile."""
    here = threading.current_thread().name
    Item.objects.create(name="before")
    with client.websocket_connect("/api/ws") as socket:
        socket.send_text("one")
        assert socket.receive_json()[:2] == [here, ["before", "one"]]
        Item.objects.create(name="between")
        socket.send_text("two")
        assert socket.receive_json()[:2] == [here, ["before", "one", "between", "two"]]
    assert names()[-1] == "two"


def test_subprotocol_headers_and_cookies(client: Client) -> None:
    """The client's cookies go with the handshake; what the app answers to it is kept."""
    client.get("/api/cookie")
    with client.websocket_connect("/api/ws", subprotocols=["first", "second"]) as socket:
        assert socket.accepted_subprotocol == "second"
        assert (b"set-cookie", b"ws=yes") in socket.extra_headers
        socket.send_text("one")
        assert socket.receive_json()[2] == {"flavour": "vanilla"}
    assert client.cookies["ws"] == "yes"


def test_the_app_can_close(client: Client) -> None:
    """What came before is read; then receiving raises the code and the reason, and goes on to."""
    with client.websocket_connect("/api/ws/closes") as socket:
        assert socket.receive_json(mode="binary") == {"last": "words"}
        with pytest.raises(WebSocketDisconnect) as raised:
            socket.receive_text()
        assert (raised.value.code, raised.value.reason) == (4001, "enough")
        with pytest.raises(WebSocketDisconnect):
            socket.receive()


def test_what_a_websocket_raises_is_raised(client: Client) -> None:
    """Where the test waits for a message, and no second time where it leaves."""
    with client.websocket_connect("/api/ws/fails") as socket, pytest.raises(LookupError, match="in a websocket"):
        socket.receive_text()
    with pytest.raises(LookupError), client.websocket_connect("/api/ws/fails"):
        pass


def test_errors_are_closings_on_demand(root_path: str) -> None:
    """With raise_server_exceptions=False the websocket breaks off."""
    with (
        Client(root, root_path=root_path, raise_server_exceptions=False) as client,
        client.websocket_connect("/api/ws/fails") as socket,
    ):
        with pytest.raises(WebSocketDisconnect) as raised:
            socket.receive_text()
        assert raised.value.code == 1006


def test_a_websocket_can_be_refused(client: Client) -> None:
    """What the root or the app refuses, cannot be entered."""
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/nowhere"):
        pass


def test_a_refusal_can_be_an_answer(client: Client) -> None:
    """An answer in the place of the handshake can be read."""
    with pytest.raises(WebSocketDenied) as raised, client.websocket_connect("/api/ws/denies"):
        pass
    assert (raised.value.response.status_code, raised.value.response.text) == (401, "not you")


def test_an_endless_talker_can_be_left(client: Client) -> None:
    """An app that sends and sends does not fill the memory, and ends when the test goes."""
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/ws/talks") as socket:
        assert socket.receive_text() == "more"


def test_a_websocket_left_open_ends_with_the_client(client: Client) -> None:
    """Closing the client closes what it has open."""
    others = set(threading.enumerate())  # Those of clients that other tests have left.
    socket = client.websocket_connect("/api/ws").__enter__()
    socket.send_text("one")
    socket.receive()
    assert [thread for thread in set(threading.enumerate()) - others if "event loop" in thread.name]
    client.close()
    left = set(threading.enumerate()) - others
    assert [thread for thread in left if "event loop" in thread.name] == []


def test_a_block_of_the_test_is_left_alone(client: Client) -> None:
    """A websocket that ends inside `atomic()` of the test, entered after it was opened, does not roll it back."""
    with client.websocket_connect("/api/ws") as socket:
        socket.send_text("one")
        socket.receive()
        depth = len(connection.atomic_blocks)
        with transaction.atomic():
            Item.objects.create(name="inside")
            socket.close()
        assert len(connection.atomic_blocks) == depth
    assert names() == ["one", "inside"]
