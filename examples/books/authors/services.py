"""What one can do with authors: plain functions of plain objects, which know neither FastAPI nor the ORM."""

from authors.repository import AuthorRepository
from authors.schema import AuthorIn, AuthorOut
from books.repository import BookRepository


class AuthorService:
    def __init__(self, authors: AuthorRepository, books: BookRepository) -> None:
        self._authors = authors
        self._books = books

    def all(self) -> list[AuthorOut]:
        return [AuthorOut.model_validate(author) for author in self._authors.all()]

    def get(self, author_id: int) -> AuthorOut:
        return AuthorOut.model_validate(self._authors.get(author_id))

    def create(self, author: AuthorIn) -> AuthorOut:
        return AuthorOut.model_validate(self._authors.create(**author.changes()))

    def delete(self, author_id: int) -> None:
        """The author, and before that all books of that author's."""
        self._books.delete_by_author(author_id)
        self._authors.delete(author_id)
