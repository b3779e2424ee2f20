"""What one can do with books: plain functions of plain objects, which know neither FastAPI nor the ORM."""

from django.core.exceptions import ValidationError

from authors.repository import AuthorRepository
from books.repository import BookRepository
from books.schema import BookIn, BookOut

# What a book has that was sent without them.
_EMPTY = {"isbn": "", "publication_date": None}


class BookService:
    def __init__(self, books: BookRepository, authors: AuthorRepository) -> None:
        self._books = books
        self._authors = authors

    def all(self) -> list[BookOut]:
        return [BookOut.model_validate(book) for book in self._books.all()]

    def get(self, book_id: int) -> BookOut:
        return BookOut.model_validate(self._books.get(book_id))

    def create(self, book: BookIn) -> BookOut:
        self._check(book)
        return BookOut.model_validate(self._books.create(**book.changes()))

    def replace(self, book_id: int, book: BookIn) -> BookOut:
        self._check(book)
        return BookOut.model_validate(self._books.update(book_id, **_EMPTY | book.changes()))

    def delete(self, book_id: int) -> None:
        self._books.delete(book_id)

    def _check(self, book: BookIn) -> None:
        if not self._authors.exists(book.author_id):
            raise ValidationError({"author_id": f"There is no author {book.author_id}."})
