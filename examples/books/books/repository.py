"""The only module that asks the database for books."""

from collections.abc import Iterable
from typing import Any

from books.models import Book


class BookRepository:
    def all(self) -> Iterable[Book]:
        return Book.objects.all()

    def get(self, book_id: int) -> Book:
        return Book.objects.get(id=book_id)

    def create(self, **fields: Any) -> Book:
        return Book.objects.create(**fields)

    def update(self, book_id: int, **fields: Any) -> Book:
        book = self.get(book_id)
        for name, value in fields.items():
            setattr(book, name, value)
        book.save()
        return book

    def delete(self, book_id: int) -> None:
        self.get(book_id).delete()

    def delete_by_author(self, author_id: int) -> None:
        Book.objects.filter(author_id=author_id).delete()
