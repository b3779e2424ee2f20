from typing import Annotated

from fastapi import Depends

from authors.repository import AuthorRepository
from authors.services import AuthorService
from books.repository import BookRepository


def author_service() -> AuthorService:
    return AuthorService(AuthorRepository(), BookRepository())


AuthorServiceDependency = Annotated[AuthorService, Depends(author_service)]
