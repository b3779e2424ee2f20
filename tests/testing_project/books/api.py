"""The API: a handful of endpoints as projects have them, sync and async, and one that does what none should do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from django.core.mail import send_mail
from django.db import transaction
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from pydantic import BaseModel, ConfigDict

from testing_project.books.models import Author, Book


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"started": await Book.objects.acount()}


api = FastAPI(lifespan=lifespan)


class NewBook(BaseModel):
    title: str
    author: str
    year: int


class BookOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    title: str
    year: int


def one_book(book_id: int) -> Book:
    book = Book.objects.filter(pk=book_id).first()
    if book is None:
        raise HTTPException(404, "No such book.")
    return book


@api.get("/books", response_model=list[BookOut])
def list_books() -> list[Book]:
    return list(Book.objects.order_by("title"))


@api.get("/books/async", response_model=list[BookOut])
async def list_books_async() -> list[Book]:
    return [book async for book in Book.objects.order_by("title")]


@api.get("/books/archived")
def count_archived() -> int:
    return Book.objects.using("archive").count()


@api.get("/books/stray")
async def count_elsewhere() -> int:
    return await asyncio.to_thread(Book.objects.count)


@api.get("/books/{book_id}", response_model=BookOut)
def get_book(book: Annotated[Book, Depends(one_book)]) -> Book:
    return book


@api.post("/books", status_code=201, response_model=BookOut)
@transaction.atomic
def add_book(new: NewBook, background: BackgroundTasks) -> Book:
    author, _ = Author.objects.get_or_create(name=new.author)
    book = Book.objects.create(title=new.title, author=author, year=new.year)
    background.add_task(send_mail, f"New: {book}", "", None, ["reader@example.com"])
    transaction.on_commit(lambda: committed.append(book.title))
    return book


committed: list[str] = []


@api.delete("/books/{book_id}", status_code=204)
async def delete_book(book: Annotated[Book, Depends(one_book)]) -> None:
    await book.adelete()


@api.get("/started")
async def started(request: Request) -> int | None:
    return getattr(request.state, "started", None)


@api.websocket("/count")
async def count(socket: WebSocket) -> None:
    await socket.accept()
    async for _ in socket.iter_text():
        await socket.send_json(await Book.objects.acount())
