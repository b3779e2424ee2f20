from typing import Annotated

from fastapi import Depends

from authors.repository import AuthorRepository
from books.repository import BookRepository
from books.services import BookService


def book_service() -> BookService:
    return BookService(BookRepository(), AuthorRepository())


BookServiceDependency = Annotated[BookService, Depends(book_service)]
