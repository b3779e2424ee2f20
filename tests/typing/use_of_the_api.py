"""What a project writes with the public names. Type checkers read it; nobody runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import assert_type

from django.contrib.auth.models import AbstractUser, User
from django.http import HttpRequest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

import djfast_mount
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from djfast_mount.auth import (
    CurrentUser,
    OptionalUser,
    Scheme,
    StaffUser,
    SuperUser,
    api_key,
    bearer,
    get_request,
    require_perm,
)
from djfast_mount.exception_handlers import add_exception_handlers
from djfast_mount.exceptions import ConfigurationError, MountError, PoolTimeout
from djfast_mount.options import Options
from djfast_mount.testing import AsyncClient, Client
from djfast_mount.transactions import Atomic, atomic
from djfast_mount.urls import Route, aget_object_or_404, get_object_or_404, reverse, route_table

api = FastAPI()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[dict[str, str]]:
    yield {"state": "is here"}


# mount()
assert_type(mount("/api", "myproject.api:api"), MountedApplication)
assert_type(djfast_mount.mount(), MountedApplication)
root = mount(
    {"/api": api, "/mcp": "myproject.mcp:app"},
    django=True,
    static=False,
    websocket_app="myproject.ws:app",
    threads=4,
    wait_timeout=5,
    max_body_size=None,
    host_check=True,
    fallthrough=True,
    docs_access="staff",
    django_handler="django",
    fast_path=False,
    middleware=[Middleware(GZipMiddleware, minimum_size=100)],
    lifespan=lifespan,
    debug=None,
    grace=8,
)
root.add_middleware(GZipMiddleware)

# settings.DJFAST_MOUNT
DJFAST_MOUNT: Options = {
    "prefix": "/api",
    "threads": 8,
    "docs_access": None,
    "django_handler": "one_hop",
    "fast_path": True,
    "health_path": None,
    "drain": 5,
    "authentication": ["myproject.auth.key"],
}


# auth
@api.get("/me")
def me(user: CurrentUser) -> str:
    assert_type(user, AbstractUser)
    return user.get_username()


@api.get("/greeting")
async def greeting(user: OptionalUser, staff: StaffUser, boss: SuperUser) -> str:
    assert_type(user, AbstractUser | None)
    return "Hello" if user is None else user.first_name


@api.delete("/items/{item}", dependencies=[require_perm("shop.delete_item"), Depends(get_request)])
def delete(item: int) -> None: ...


def user_of(key: str) -> User | None:
    return User.objects.filter(username=key).first()


assert_type(api_key("X-API-Key", user_of), Scheme)
assert_type(bearer(user_of), Scheme)


async def request_of(connection: HttpRequest) -> None: ...


# transactions
@api.post("/lend")
def lend(_: Atomic) -> None: ...


api.post("/other", dependencies=[atomic("other")])
add_exception_handlers(api, problem_details=True)


# urls
async def objects() -> None:
    assert_type(get_object_or_404(User, pk=1), User)
    assert_type(await aget_object_or_404(User.objects.all(), pk=1), User)


rows: list[Route] = route_table(root)
url: str = reverse("api:item")


# errors
def errors(error: PoolTimeout) -> MountError:
    assert_type(error.seconds, float)
    return error if error.status_code == 503 else ConfigurationError("Say what was met, then the remedy.")


# testing
def with_client() -> int:
    with Client(root) as client:
        return client.get("/api/me").status_code


async def with_async_client() -> int:
    async with AsyncClient(root) as client:
        return (await client.get("/api/me")).status_code
