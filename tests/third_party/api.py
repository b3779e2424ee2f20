"""The API's endpoints."""

from __future__ import annotations

from typing import Annotated

from django.contrib.auth.models import User
from fastapi import Depends, FastAPI

from djfast_mount.auth import CurrentUser, require_perm
from third_party.shelf.models import Book

api = FastAPI()


def get_book(pk: int) -> Book:
    return Book.objects.get(pk=pk)


@api.get("/me")
def me(user: CurrentUser) -> str:
    return user.get_username()


@api.put("/def/books/{pk}")
def rename(book: Annotated[Book, Depends(get_book)], title: str, user: CurrentUser) -> int:
    book.title = title
    book.save()
    return book.pk


@api.put("/async/books/{pk}")
async def rename_in_async_code(book: Annotated[Book, Depends(get_book)], title: str, user: CurrentUser) -> int:
    book.title = title
    await book.asave()
    return book.pk


@api.post("/def/books/{pk}/lend")
def lend(
    book: Annotated[Book, Depends(get_book)], user: Annotated[User, require_perm("shelf.lend_book", obj=get_book)]
) -> str:
    return f"{book} to {user.get_username()}"


@api.post("/async/books/{pk}/lend")
async def lend_in_async_code(
    book: Annotated[Book, Depends(get_book)], user: Annotated[User, require_perm("shelf.lend_book", obj=get_book)]
) -> str:
    return f"{book} to {user.get_username()}"
