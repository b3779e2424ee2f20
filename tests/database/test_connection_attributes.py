"""What a request sets on `django.db.connection`, and inside of what it finds there, no later request sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.base.features import BaseDatabaseFeatures
from django.db.backends.signals import connection_created
from django.utils.functional import cached_property
from fastapi import FastAPI
from starlette.types import ASGIApp

from api_client import ApiClient
from djfast_mount import mount
from djfast_mount.database.connection_attributes import Attributes, differs, noted
from lifespan_drive import Drive

pytestmark = pytest.mark.django_db(transaction=True)


class Box:
    """What a package may keep on each connection."""

    def __init__(self) -> None:
        self.tenant: str | None = None
        self.inner: dict[str, list[str]] = {"stack": []}


WAYS: dict[str, tuple[Callable[[Any], object], Callable[[Any], object]]] = {
    "attribute": (lambda found: setattr(found, "tenant", "ann"), lambda found: getattr(found, "tenant", None)),
    "object": (lambda found: setattr(found.box, "tenant", "ann"), lambda found: found.box.tenant),
    "in an object": (lambda found: found.box.inner["stack"].append("ann"), lambda found: found.box.inner["stack"]),
    "nested": (lambda found: found.nested["stack"].append("ann"), lambda found: found.nested["stack"]),
    "ops": (lambda found: setattr(found.ops, "tenant", "ann"), lambda found: getattr(found.ops, "tenant", None)),
    "features": (
        lambda found: setattr(found.features, "tenant", "ann"),
        lambda found: getattr(found.features, "tenant", None),
    ),
}


def set_up(connection: Any, **_: Any) -> None:
    connection.box, connection.nested = Box(), {"stack": []}


@pytest.fixture
def client(root_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiClient]:
    # As in production: connections live on.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
    api = FastAPI()

    @api.get("/set/{way}")
    def set_it(way: str) -> None:
        connection.ensure_connection()
        WAYS[way][0](connection)

    @api.get("/early/{way}")
    def set_early(way: str) -> None:
        connection.close()
        WAYS[way][0](connection)
        connection.ensure_connection()

    @api.get("/see/{way}")
    def see(way: str) -> Any:
        connection.ensure_connection()
        return WAYS[way][1](connection)

    connection_created.connect(set_up)
    app = mount("/api", api, threads=1)
    yield ApiClient(app, root_path)
    connection_created.disconnect(set_up)
    asyncio.run(stop(app))


async def stop(app: ASGIApp) -> None:
    """Closes what lives on."""
    async with Drive(app):
        pass


@pytest.mark.parametrize("way", WAYS)
def test_what_a_request_has_set_is_not_seen_by_the_next(client: ApiClient, way: str) -> None:
    """Whether it was set on the connection, in an object that was there, in a container, or on a part of Django's."""
    assert client.get(f"/api/see/{way}").json() in (None, [])
    assert client.get(f"/api/set/{way}").status_code == 200
    assert client.get(f"/api/see/{way}").json() in (None, [])


@pytest.mark.parametrize("way", ["attribute", "ops", "features"])
def test_what_was_set_before_it_was_connected_is_not_seen_by_the_next(client: ApiClient, way: str) -> None:
    """What is there when a connection is made is not taken for what every connection has."""
    assert client.get(f"/api/early/{way}").status_code == 200
    assert client.get(f"/api/see/{way}").json() is None


@pytest.mark.parametrize(
    "value", [{"a": [1]}, [{1}], Box(), 1, "text", ("a", [1]), connection], ids=lambda v: type(v).__name__
)
def test_what_nobody_has_changed_is_the_same(value: object) -> None:
    """A look alone marks no connection as changed: it would be closed with each request."""
    assert not differs(value, noted(value))


class FeaturesOfABackend(BaseDatabaseFeatures):
    """As those of a backend that asks the server what it can."""

    tenant: str | None = None

    @cached_property
    def knows_vectors(self) -> bool:
        return True


def test_what_a_backend_has_computed_is_not_the_requests() -> None:
    """A cached property that a request has asked for marks no connection as changed. An assignment does."""
    features = FeaturesOfABackend(connection)
    attributes = Attributes([(features, frozenset())])
    assert features.knows_vectors
    assert not attributes.have_changed()
    features.tenant = "ann"
    assert attributes.have_changed()


def test_a_circle_and_a_large_object_are_looked_at_in_part() -> None:
    """What a project hangs on a connection costs a bounded look, whatever it leads to."""
    box: Any = Box()
    box.me, box.many = box, [Box() for _ in range(10_000)]
    before = noted(box)
    assert not differs(box, before)
    box.tenant = "ann"
    assert differs(box, before)
