"""Repositories that keep their rows in a dict, for tests that need no database."""

from collections.abc import Iterable
from typing import Any

from authors.models import Author
from books.models import Book


class FakeRepository:
    """What the two have in common."""

    model: type[Any]
    missing: type[Exception]
    order: str

    def __init__(self) -> None:
        self.rows: dict[int, Any] = {}

    def all(self) -> Iterable[Any]:
        return sorted(self.rows.values(), key=lambda row: getattr(row, self.order))

    def get(self, row_id: int) -> Any:
        if row_id not in self.rows:
            raise self.missing
        return self.rows[row_id]

    def create(self, **fields: Any) -> Any:
        row = self.model(id=len(self.rows) + 1, **fields)
        self.rows[row.id] = row
        return row

    def delete(self, row_id: int) -> None:
        self.get(row_id)
        del self.rows[row_id]


class FakeAuthors(FakeRepository):
    model = Author
    missing = Author.DoesNotExist
    order = "name"

    def exists(self, author_id: int) -> bool:
        return author_id in self.rows


class FakeBooks(FakeRepository):
    model = Book
    missing = Book.DoesNotExist
    order = "title"

    def update(self, book_id: int, **fields: Any) -> Any:
        vars(self.get(book_id)).update(fields)
        return self.get(book_id)

    def delete_by_author(self, author_id: int) -> None:
        self.rows = {key: row for key, row in self.rows.items() if row.author_id != author_id}
