"""What every async plugin of pytest is to pass."""

from __future__ import annotations

import threading

from asgiref.sync import sync_to_async

from djfast_mount.testing import AsyncClient
from testing_project.books.models import Author, Book

EMMA = {"title": "Emma", "author": "Jane Austen", "year": 1815}


async def check(api: AsyncClient, books: list[Book]) -> None:
    """The test, the app and both halves of it see the rows that were written before the loop, and in it."""
    await Book.objects.acreate(title="Mathilda", author=await Author.objects.aget(), year=1819)
    thread = await sync_to_async(threading.current_thread)()
    for path in ("/api/books", "/api/books/async"):
        assert len((await api.get(path)).json()) == 3
    assert "Mathilda" in (await api.get("/books/")).text
    assert (await api.post("/api/books", json=EMMA)).status_code == 201
    assert await Book.objects.acount() == 4
    async with api, api.websocket_connect("/api/count") as socket:
        assert (await api.get("/api/started")).json() == 4
        await socket.send_text("?")
        assert await socket.receive_json() == 4
    assert thread is await sync_to_async(threading.current_thread)()
