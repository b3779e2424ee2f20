"""URLs that requests make, by every function, in both halves."""

from __future__ import annotations

import pytest

from api_client import ApiClient
from calls import websocket

pytestmark = pytest.mark.once


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_from_the_api(client: ApiClient, kind: str, root_path: str) -> None:
    """An endpoint makes URLs of both halves, by every function, behind the outer prefix of its request."""
    host = "http://testserver"
    assert client.get(f"/api/{kind}/links").json() == [
        f"{root_path}/pages/1/",
        f"{root_path}/api/items/2",
        f"{root_path}/shop/carts/a/",
        f"{root_path}/api/items/3",
        f"{host}{root_path}/api/items/4",
        f"{host}{root_path}/api/items/5",
        f"{host}{root_path}/pages/6/",
    ]


@pytest.mark.parametrize("path", ["/links/", "/async-links/"])
def test_from_django(client: ApiClient, path: str, root_path: str) -> None:
    """A view and its templates make URLs of endpoints, behind the outer prefix of the request."""
    assert client.get(path).json() == [f"{root_path}/api/items/{number}" for number in (3, 4, 1, 2)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_url_for_of_an_unknown_name(client: ApiClient, kind: str) -> None:
    """request.url_for raises Starlette's exception, with the nearest names in it."""
    assert "Did you mean 'page'" in client.get(f"/api/{kind}/unknown").json()


def test_from_a_websocket(client: ApiClient, root_path: str) -> None:
    """websocket.url_for makes URLs of both halves, each with its scheme."""
    sent = websocket(client.app, f"{root_path}/api/ws/a", root_path=root_path)
    assert sent[1]["text"] == (f'["ws://testserver{root_path}/api/ws/b","http://testserver{root_path}/pages/1/"]')


def test_url_for_over_https(client: ApiClient, root_path: str) -> None:
    """The scheme is that of the call, and its query no part of a URL."""
    found = client.request("GET", "/api/sync/links?a=1", scheme="https").json()
    assert found[-1] == f"https://testserver{root_path}/pages/6/"
