"""What `djfast_mount.testing.Client` can do as an HTTP client: httpx, without a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from djfast_mount.testing import Client
from project.shop.models import Item
from testing_project.items_api import events, names, root

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(root_path: str) -> Iterator[Client]:
    events.clear()
    client = Client(root, root_path=root_path)
    yield client
    client.close()


def here() -> str:
    return threading.current_thread().name


def test_what_is_sent_arrives(client: Client, root_path: str) -> None:
    """Method, query, headers, JSON and the decoded path reach the app; the outer prefix is in `root_path`."""
    found = client.post("/api/echo", params={"q": "ä b"}, json={"a": 1}, headers={"X-Own": "yes"}).json()
    assert (found["method"], found["query"], found["body"]) == ("POST", {"q": "ä b"}, '{"a":1}')
    assert (found["path"], found["root_path"]) == (f"{root_path}/api/echo", f"{root_path}/api")
    assert (found["headers"]["host"], found["headers"]["x-own"]) == ("testserver", "yes")
    assert found["headers"]["content-type"] == "application/json"


def test_a_path_is_decoded_once(client: Client) -> None:
    """An escaped percent sign stays one."""
    client.post("/api/items/100%2525")
    assert names()[0] == "100%25"


def test_files_and_forms(client: Client) -> None:
    """A multipart form arrives with its file."""
    response = client.post("/api/upload", data={"title": "A title"}, files={"file": ("a.txt", b"text")})
    assert response.json() == {"title": "A title", "name": "a.txt", "content": "text"}


def test_a_body_is_streamed_from_the_tests_thread(client: Client) -> None:
    """A body that is a generator is drawn part by part, in the test's thread."""

    def parts() -> Iterator[bytes]:
        yield b"one"
        yield here().encode()

    assert client.post("/api/parts", content=parts()).json() == ["one", here()]


def test_redirects_are_shown(client: Client) -> None:
    """A redirect is the answer, and is followed on demand."""
    response = client.get("/api/away")
    assert (response.status_code, response.next_request is not None) == (307, True)


def test_redirects_are_followed_on_demand() -> None:
    """follow_redirects=True leads to the answer behind it."""
    with Client(root) as client:
        assert client.get("/api/away", follow_redirects=True).json() == []


def test_cookies_are_kept(client: Client) -> None:
    """A cookie that the app sets comes back with the next request."""
    assert client.get("/api/cookie").json() == {}
    assert client.get("/api/cookie").json() == {"flavour": "vanilla"}


def test_a_base_url_can_have_a_path(root_path: str) -> None:
    """Paths are taken as below it."""
    with Client(root, root_path=root_path, base_url="https://localhost/api") as client:
        assert client.post("/echo").json()["headers"]["host"] == "localhost"


def test_head_has_no_body(client: Client) -> None:
    """As with a server, whatever the app sends."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"body"})

    with Client(app, root_path=client._server.root_path) as plain:
        assert plain.head("/").content == b""
        assert plain.get("/").content == b"body"


# Streams -------------------------------------------------------------------------------------------------------------


def test_a_sync_stream_is_drawn_in_the_tests_thread(client: Client) -> None:
    """Each part comes when the test reads it, with the ORM, in the test's transaction."""
    with client.stream("GET", "/api/stream") as response:
        lines = response.iter_lines()
        assert [next(lines), next(lines)] == ["1", "2"]
        assert Item.objects.count() <= 3
        assert events == []
    assert names()[0] == f"row 0 on {here()}"


def test_a_stream_that_is_left_is_closed(client: Client) -> None:
    """When the test goes, the iterator's `finally` runs, in the test's thread, before the block is left."""
    with client.stream("GET", "/api/stream") as response:
        next(response.iter_lines())
    assert len(events) == 1
    assert events[0].startswith(f"closed on {here()}")


def test_an_async_stream_that_is_left_is_closed(client: Client) -> None:
    """That of an endless async stream runs at the latest when the client is closed."""
    with client.stream("GET", "/api/async-stream") as response:
        lines = response.iter_lines()
        assert next(lines) == "0"
        Item.objects.create(name="while it is read")
        assert "1" in [next(lines) for _ in range(3)]
    client.close()
    assert events == ["async stream closed"]


def test_headers_come_before_the_first_part(client: Client) -> None:
    """A stream of events that has none yet can be opened, and left."""
    with client.stream("GET", "/api/target") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
    assert events == ["target", "no longer target"]


def test_a_stream_left_open_ends_with_the_client(client: Client) -> None:
    """Closing the client ends what it has open."""
    request = client.build_request("GET", "/api/stream")
    response = client.send(request, stream=True)
    next(response.iter_lines())
    client.close()
    assert events[0].startswith("closed")


def test_a_whole_stream_can_be_read(client: Client) -> None:
    """Without stream() the answer is read to its end."""
    assert len(client.get("/api/stream").text.splitlines()) == 1000
    assert events == [f"closed on {here()} after 1000"]


# Apps that do not do what they are to do -----------------------------------------------------------------------------


async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns without an answer."""


async def stops_halfway(scope: Scope, receive: Receive, send: Send) -> None:
    """Leaves its answer unfinished."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def says_it_twice(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins two answers."""
    for _ in range(2):
        await send({"type": "http.response.start", "status": 200, "headers": []})


def test_an_app_without_an_answer_is_told_of(root_path: str) -> None:
    """By an error that names the request or, as a server does it, by 500."""
    with (
        Client(says_nothing, root_path=root_path) as client,
        pytest.raises(RuntimeError, match=r"answer to GET (/pre)?/x"),
    ):
        client.get("/x")
    with Client(says_nothing, root_path=root_path, raise_server_exceptions=False) as client:
        assert client.get("/x").status_code == 500


def test_half_an_answer_is_no_answer(root_path: str) -> None:
    """An app that stops in the middle is what a client sees as a broken connection."""
    with Client(stops_halfway, root_path=root_path) as client, pytest.raises(httpx.RemoteProtocolError):
        client.get("/x")


def test_messages_out_of_turn_are_errors(root_path: str) -> None:
    """Two beginnings of one answer are an error in the app."""
    with Client(says_it_twice, root_path=root_path) as client, pytest.raises(RuntimeError, match="out of turn"):
        client.get("/x")
