"""reverse() of ours, and Django's: one function for the names of both halves.

Holds `urls.py`.
"""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

import pytest
from django.urls import NoReverseMatch
from django.urls import reverse as django_reverse
from starlette.routing import NoMatchFound

from api_client import ApiClient
from djfast_mount import mount
from djfast_mount.exceptions import MountError
from djfast_mount.urls import UnknownURL, reverse
from named_site import Colour, api_with_names, links, tenant

pytestmark = pytest.mark.once


KEY = "0198c0de-0000-7000-8000-000000000000"


NAMES: list[tuple[str, dict[str, Any], str]] = [
    ("home", {}, "/"),
    ("page", {"number": 1}, "/pages/1/"),
    ("shop:cart", {"name": "a-b"}, "/shop/carts/a-b/"),
    ("api:item", {"id": 1}, "/api/items/1"),
    ("api:item", {"id": "1"}, "/api/items/1"),
    (
        "api:typed",
        {"kind": Colour.RED, "day": datetime.date(2026, 1, 2), "key": UUID(KEY)},
        f"/api/typed/red/2026-01-02/{KEY}",
    ),
    ("api:converted", {"number": 7, "share": 0.5, "file": "a/b c.txt"}, "/api/converted/7/0.5/a/b%20c.txt"),
    ("api:text", {"text": "ü%?#"}, "/api/text/%C3%BC%25%3F%23"),
    ("api:in_dependency", {"tenant": 1}, "/api/tenants/1/x"),
    ("api:uuid", {"key": UUID(KEY)}, f"/api/uuid/{KEY}"),
    ("api:rooted", {}, "/api/rooted"),
    ("api:included", {"number": 1}, "/api/included/1"),
    ("api:v1:item", {"version": "beta", "id": 1}, "/api/beta/v1/items/1"),
    ("api:v1:deep", {"version": "beta"}, "/api/beta/v1/inner/deep"),
    ("api:files", {"path": "a.css"}, "/api/files/a.css"),
    ("api:talk", {"room": "a"}, "/api/ws/a"),
    ("api:openapi", {}, "/api/openapi.json"),
    ("api:twice", {"number": 3}, "/api/third/3"),
]


names = pytest.mark.parametrize(
    ("name", "params", "path"), NAMES, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(NAMES)]
)


@names
def test_one_function_knows_all(mounted: None, name: str, params: dict[str, Any], path: str) -> None:
    """reverse() finds endpoints, websockets, mounted apps and views, by keywords, by kwargs= and by args=."""
    assert reverse(name, **params) == path
    assert reverse(name, kwargs=params) == path
    assert reverse(name, args=list(params.values())) == path


@names
def test_djangos_reverse_knows_all(mounted: None, name: str, params: dict[str, Any], path: str) -> None:
    """So does Django's own function."""
    assert django_reverse(name, kwargs=params) == path
    assert django_reverse(name, args=list(params.values())) == path


def test_the_first_of_two_routes_counts(mounted: None) -> None:
    """As for Starlette's url_for, where two routes have one name and the same parameters."""
    assert reverse("api:twice") == mount("/api", api_with_names()).url_path_for("api:twice")


def test_query_and_fragment(mounted: None) -> None:
    """Both are added as Django adds them."""
    assert reverse("api:item", id=1, query={"a": ["1", "2"]}, fragment="top") == "/api/items/1?a=1&a=2#top"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("api:itm", "'api:item'"),
        ("pgae", "'page'"),
        ("shop:carts", "'shop:cart'"),
        ("ap:item", "'api:item'"),
        ("item", "'api:item'"),
        ("zzzzzz", "manage.py mount_routes"),
    ],
)
def test_an_unknown_name_gets_the_nearest(mounted: None, name: str, nearest: str) -> None:
    """A name that neither side knows is an error of both frameworks', and ours, that lists the nearest names."""
    with pytest.raises(UnknownURL, match="Neither a mounted app nor Django's URLconf has the URL name") as caught:
        reverse(name)
    assert nearest in str(caught.value)
    assert isinstance(caught.value, MountError)
    assert isinstance(caught.value, NoReverseMatch)
    assert isinstance(caught.value, NoMatchFound)


def test_a_view_itself(mounted: None) -> None:
    """What Django's reverse() takes but names is left to it, its error too."""
    assert reverse(links) == "/links/"
    with pytest.raises(NoReverseMatch) as caught:
        reverse(tenant)
    assert not isinstance(caught.value, UnknownURL)


def test_djangos_redirect(client: ApiClient, root_path: str) -> None:
    """redirect() takes the name of an endpoint, and the endpoint answers there."""
    location = client.get("/go/").headers["location"]
    assert location == f"{root_path}/api/items/5"
    assert client.get(location.removeprefix(root_path)).json() == 5


def test_the_script_name(settings: Any) -> None:
    """FORCE_SCRIPT_NAME stands in front of every path, from endpoints and views."""
    settings.FORCE_SCRIPT_NAME = "/forced"
    client = ApiClient(mount("/api", api_with_names()))
    assert client.get("/forced/api/sync/links").json()[:2] == ["/forced/pages/1/", "/forced/api/items/2"]
    assert client.get("/forced/links/").json()[0] == "/forced/api/items/3"
