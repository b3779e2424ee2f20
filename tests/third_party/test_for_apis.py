"""More packages for FastAPI and Starlette, among them some that bring a database, a lifespan or an app of their own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi_cache import FastAPICache
from fastapi_cache.backends.inmemory import InMemoryBackend
from fastapi_cache.decorator import cache
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastmcp import FastMCP
from sqladmin import Admin, ModelView
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import StaticPool
from taskiq import InMemoryBroker

from djfast_mount import mount
from djfast_mount.testing import Client
from third_party.shelf.models import Book

pytestmark = pytest.mark.django_db
SECRET = "not a secret, but long enough for the signature"


class Base(DeclarativeBase):
    pass


class Account(SQLAlchemyBaseUserTableUUID, Base):
    pass


class AccountManager(UUIDIDMixin, BaseUserManager[Account, uuid.UUID]):
    reset_password_token_secret = verification_token_secret = SECRET


class Read(schemas.BaseUser[uuid.UUID]):
    pass


class New(schemas.BaseUserCreate):
    pass


def of_fastapi_users(engine: Any) -> FastAPI:
    """An API with users of its own, kept by SQLAlchemy."""
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions() as opened:
            yield opened

    async def manager(opened: AsyncSession = Depends(session)) -> AsyncIterator[AccountManager]:  # noqa: B008
        yield AccountManager(SQLAlchemyUserDatabase(opened, Account))

    backend: Any = AuthenticationBackend(
        name="jwt", transport=BearerTransport("jwt/login"), get_strategy=lambda: JWTStrategy(SECRET, 60)
    )
    users: Any = FastAPIUsers[Account, uuid.UUID](manager, [backend])
    api = FastAPI(lifespan=lifespan)
    api.include_router(users.get_register_router(Read, New))
    api.include_router(users.get_auth_router(backend), prefix="/jwt")

    @api.get("/me")
    async def me(account: Account = Depends(users.current_user(active=True))) -> list[str]:  # noqa: B008
        return [account.email, *[book.title async for book in Book.objects.all()]]

    return api


@pytest.fixture
def engine() -> Any:
    return create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)


def test_fastapi_users_beside_djangos(engine: Any, root_path: str) -> None:
    """Who registers and logs in with fastapi-users calls an endpoint that asks Django's ORM as well."""
    Book.objects.create(title="Emma")
    with Client(mount("/api", of_fastapi_users(engine)), root_path=root_path) as client:
        account = {"email": "ann@example.com", "password": "correct horse"}
        assert client.post("/api/register", json=account).status_code == 201
        assert client.get("/api/me").status_code == 401
        login = {"username": account["email"], "password": account["password"]}
        token = client.post("/api/jwt/login", data=login).json()["access_token"]
        me = client.get("/api/me", headers={"authorization": f"Bearer {token}"})
    assert me.json() == ["ann@example.com", "Emma"]


def test_sqladmin_inside_the_api(engine: Any, root_path: str) -> None:
    """The admin of SQLAlchemy's models is below the API's prefix, with links and styles that lead there."""
    api = of_fastapi_users(engine)

    class Accounts(ModelView, model=Account):
        column_list = [Account.email]

    Admin(api, engine).add_view(Accounts)
    with Client(mount("/api", api), root_path=root_path) as client:
        client.post("/api/register", json={"email": "ann@example.com", "password": "correct horse"})
        page = client.get("/api/admin/account/list")
        assert "ann@example.com" in page.text
        assert f"{root_path}/api/admin/statics/css/" in page.text
        assert client.get("/api/admin/statics/css/main.css").status_code == 200
        assert "csrfmiddlewaretoken" in client.get("/admin/login/").text


@pytest.fixture
def caching() -> Iterator[None]:
    FastAPICache.init(InMemoryBackend(), prefix="shelf")
    yield
    FastAPICache.reset()


@pytest.mark.parametrize("kind", ["def", "async"])
def test_fastapi_cache2_answers_from_its_memory(kind: str, caching: None, root_path: str) -> None:
    """The second call is answered without asking the database, for `def` and `async def` endpoints."""
    api = FastAPI()

    if kind == "def":

        @api.get("/count")
        @cache(expire=60)
        def count() -> int:
            return Book.objects.count()
    else:

        @api.get("/count")
        @cache(expire=60)
        async def acount() -> int:
            return await Book.objects.acount()

    client = Client(mount("/api", api), root_path=root_path)
    first = client.get("/api/count")
    Book.objects.create(title="Emma")
    second = client.get("/api/count")
    assert (first.json(), second.json()) == (0, 0)
    assert second.headers["x-fastapi-cache"] == "HIT"


def tools() -> FastMCP:
    served: FastMCP = FastMCP("Shelf")

    @served.tool
    async def titles() -> list[str]:
        """The titles on the shelf."""
        return [book.title async for book in Book.objects.order_by("pk")]

    return served


@pytest.mark.parametrize("place", ["/mcp", "/api/mcp"])
def test_fastmcp_has_a_prefix_of_its_own_or_is_inside(place: str, root_path: str) -> None:
    """A tool that asks the ORM answers, beside the API and mounted in it. Its lifespan runs without a line for it."""
    Book.objects.create(title="Emma")
    served = tools().http_app(path="/", json_response=True, stateless_http=True)
    api = FastAPI()
    if place == "/api/mcp":
        api.mount("/mcp", served)
    app = mount("/api", api) if place == "/api/mcp" else mount({"/api": api, "/mcp": served})
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "titles", "arguments": {}}}
    headers = {"accept": "application/json, text/event-stream", "host": "localhost"}
    with Client(app, root_path=root_path) as client:
        answer = client.post(f"{place}/", json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["structuredContent"] == {"result": ["Emma"]}


def test_taskiq_runs_a_task_of_an_endpoint(root_path: str) -> None:
    """A task that an endpoint sends to the broker asks the ORM, and the endpoint has its result."""
    broker = InMemoryBroker()

    @broker.task
    async def count() -> int:
        return await Book.objects.acount()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await broker.startup()
        yield
        await broker.shutdown()

    api = FastAPI(lifespan=lifespan)

    @api.post("/count")
    async def ask() -> int:
        sent = await count.kiq()
        return (await sent.wait_result(timeout=5)).return_value

    with Client(mount("/api", api), root_path=root_path) as client:
        assert client.post("/api/count").json() == 0
