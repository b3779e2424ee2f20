"""A client of an app in this process, whose requests run on the threads of the pool as a server's do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from project.library.models import Author, Book, Key
from project.shop.models import Item


class ApiClient:
    """Keeps cookies as a browser does. Each request has an event loop of its own; an error of the app is raised.

    Args:
        app: What `mount()` returned.
        root_path: The outer prefix, in front of every path.
    """

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self.app = app
        self.root_path = root_path
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, *, scheme: str = "http", **options: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, root_path=self.root_path)
            base = f"{scheme}://testserver{self.root_path}"
            async with httpx.AsyncClient(transport=transport, base_url=base, cookies=self.cookies) as client:
                response = await client.request(method, path, **options)
                self.cookies = client.cookies
                return response

        return asyncio.run(answer())

    def set_cookie(self, name: str, value: str) -> None:
        """As the site would: a later cookie of that name takes its place."""
        self.cookies.set(name, value, domain="testserver.local")

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@contextlib.contextmanager
def committed_rows(blocker: Any) -> Iterator[None]:
    """Lets a test write what the threads of the pool see, and deletes it all afterwards; faster than a flush."""
    with blocker.unblock():
        yield
        for model in (Book, Author, Key, Item, LogEntry, User, Session):
            model._default_manager.all().delete()
        connection.close()


def both(api: FastAPI | APIRouter, method: str, path: str, **options: Any) -> Callable[[Any], Any]:
    """Registers a `def` endpoint at /sync`path`, and an `async def` that does the same at /async`path`."""

    def register(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(endpoint)
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            return await sync_to_async(endpoint)(*args, **kwargs)

        api.api_route(f"/sync{path}", methods=[method], **options)(endpoint)
        api.api_route(f"/async{path}", methods=[method], **options)(asynchronous)
        return endpoint

    return register
