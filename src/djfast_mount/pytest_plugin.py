"""pytest: the fixtures `api_client`, `async_api_client` and `live_asgi_server`.

pytest loads this in every project that has djfast_mount installed, so it imports neither Django nor FastAPI before a
fixture is asked for.

Name used here that is not public, with a canary test: ``_fixtureinfo`` of a test, without which cookies are not shared.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

logger = logging.getLogger("djfast_mount.testing")

if TYPE_CHECKING:
    from djfast_mount.testing import AsyncClient, Client
    from djfast_mount.testing.live_server import LiveServer


@pytest.fixture(scope="session")
def asgi_application() -> Any:
    """The app under test: what ``settings.ASGI_APPLICATION`` names. Override it in conftest.py to test another."""
    from djfast_mount.testing import default_application  # noqa: PLC0415

    return default_application()


@pytest.fixture
def api_client(asgi_application: Any, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client for the app, in the test's thread and transaction. It shares the session with pytest-django's `client`.

    Ask for `db`, or mark the test, as for every test that uses the database. ``with api_client:`` runs the lifespan.
    """
    from django.test import Client as DjangoClient  # noqa: PLC0415

    from djfast_mount.testing import Client  # noqa: PLC0415

    # Only where the test has asked for it: to ask here would set Django's client up for tests that have none.
    other = _fixture_beside(request, "client")
    client = Client(asgi_application, django_client=other if isinstance(other, DjangoClient) else None)
    yield client
    client.close()


@pytest.fixture
def async_api_client(asgi_application: Any, request: pytest.FixtureRequest) -> Iterator[AsyncClient]:
    """A client for the app in an async test, of pytest-asyncio or AnyIO, with the connections of the test's thread.

    The ORM's async methods and `sync_to_async` in the test use them too. ``async with async_api_client:`` runs the
    lifespan.
    """
    from django.test import AsyncClient as DjangoAsyncClient  # noqa: PLC0415

    from djfast_mount.testing import AsyncClient, lent_connections  # noqa: PLC0415
    from djfast_mount.testing.stray_connections import close_strays  # noqa: PLC0415

    other = _fixture_beside(request, "async_client")
    django_client = other if isinstance(other, DjangoAsyncClient) else None
    with lent_connections() as executor:
        yield AsyncClient(asgi_application, django_client=django_client, executor=executor)
        close_strays()


def _fixture_beside(request: pytest.FixtureRequest, name: str) -> Any:
    """The fixture `name`, if the test has it and it is not made of the one that asks: a project may call ours so."""
    info = getattr(request.node, "_fixtureinfo", None)
    # The feature goes, and the fixture stays: cookies are not shared then, and the log says so.
    if info is None:
        logger.warning("pytest %s tells no fixtures of a test: %r shares no cookies.", pytest.__version__, name)
        return None
    definitions = info.name2fixturedefs
    names: set[str] = set()
    waiting = [name]
    while waiting:
        for definition in definitions.get(waiting.pop(), ()):
            waiting += set(definition.argnames) - names
            names.update(definition.argnames)
    known = name in request.fixturenames and request.fixturename not in names
    return request.getfixturevalue(name) if known else None


@pytest.fixture(scope="session")
def _live_asgi_server(asgi_application: Any, django_db_setup: None, django_db_blocker: Any) -> Iterator[LiveServer]:
    from djfast_mount.testing.live_server import serve  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        # The lifespan may use the ORM, and pytest-django blocks it outside of tests with the `db` fixture.
        with django_db_blocker.unblock():
            server = stack.enter_context(serve(asgi_application))
        yield server
        with django_db_blocker.unblock():
            stack.close()


@pytest.fixture
def live_asgi_server(_live_asgi_server: LiveServer, transactional_db: None) -> Iterator[LiveServer]:
    """The app behind a real server, with static files, for the whole run. The test sees and flushes what it commits.

    It needs pytest-django and uvicorn.
    """
    from django.test import modify_settings  # noqa: PLC0415

    with modify_settings(ALLOWED_HOSTS={"append": "localhost"}):
        yield _live_asgi_server
