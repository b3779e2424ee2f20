"""The repositories: the fakes have to do what the real ones do, so the same tests run against both."""

from datetime import date
from typing import Any

from django.test import SimpleTestCase, TestCase

from authors.models import Author
from authors.repository import AuthorRepository
from books.models import Book
from books.repository import BookRepository
from tests.fakes import FakeAuthors, FakeBooks


class Repositories:
    author_repository: type[Any]
    book_repository: type[Any]

    def setUp(self) -> None:
        self.authors, self.books = self.author_repository(), self.book_repository()
        self.author = self.authors.create(name="Joseph Roth", bio="")

    def add(self, title: str) -> Any:
        return self.books.create(title=title, author_id=self.author.id, isbn="", publication_date=date(1930, 1, 1))

    def test_all_are_in_order(self) -> None:
        """Authors come by name and books by title."""
        self.authors.create(name="Anna Seghers", bio="")
        self.add("Radetzky March"), self.add("Job")
        self.assertEqual([author.name for author in self.authors.all()], ["Anna Seghers", "Joseph Roth"])
        self.assertEqual([book.title for book in self.books.all()], ["Job", "Radetzky March"])

    def test_what_is_not_there(self) -> None:
        """Every method that takes an id raises the model's DoesNotExist for one of none; `exists` says no."""
        for method in (self.books.get, self.books.delete, self.books.update):
            with self.subTest(method.__name__), self.assertRaises(Book.DoesNotExist):
                method(999)
        for method in (self.authors.get, self.authors.delete):
            with self.subTest(method.__name__), self.assertRaises(Author.DoesNotExist):
                method(999)
        self.assertEqual([self.authors.exists(999), self.authors.exists(self.author.id)], [False, True])

    def test_update(self) -> None:
        """The fields that are given are changed, and kept."""
        book = self.books.update(self.add("Job").id, title="Hotel Savoy")
        self.assertEqual(self.books.get(book.id).title, "Hotel Savoy")

    def test_delete(self) -> None:
        """One book goes, or all of an author's."""
        first, second = self.add("Job"), self.add("Radetzky March")
        self.books.delete(first.id)
        self.assertEqual([book.id for book in self.books.all()], [second.id])
        self.books.delete_by_author(self.author.id)
        self.assertEqual(list(self.books.all()), [])


class FakeTests(Repositories, SimpleTestCase):
    author_repository = FakeAuthors
    book_repository = FakeBooks


class DatabaseTests(Repositories, TestCase):
    author_repository = AuthorRepository
    book_repository = BookRepository
