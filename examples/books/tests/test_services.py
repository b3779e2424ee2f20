"""The services with fake repositories: no database is asked, or Django would refuse it."""

from datetime import date

from django.core.exceptions import ValidationError
from django.test import SimpleTestCase

from authors.models import Author
from authors.schema import AuthorIn
from authors.services import AuthorService
from books.dependencies import book_service
from books.schema import BookIn
from books.services import BookService
from bookshop.api import api
from djfast_mount.testing import ApiMixin
from tests.fakes import FakeAuthors, FakeBooks


class Fakes(SimpleTestCase):
    def setUp(self) -> None:
        self.authors, self.books = FakeAuthors(), FakeBooks()
        self.author_service = AuthorService(self.authors, self.books)
        self.book_service = BookService(self.books, self.authors)
        self.author = self.author_service.create(AuthorIn(name="Joseph Roth"))

    def book(self, title: str = "Job") -> BookIn:
        return BookIn(title=title, author_id=self.author.id, isbn="9780000001930", publication_date=date(1930, 1, 1))


class ServiceTests(Fakes):
    def test_create_book(self) -> None:
        """The repository is given what was asked for, field by field."""
        request = self.book()
        created = self.book_service.create(request)
        [kept] = self.books.rows.values()
        self.assertEqual({name: getattr(kept, name) for name in request.changes()}, request.changes())
        self.assertEqual(kept.id, created.id)

    def test_a_book_wants_an_author(self) -> None:
        """For an author who is not there nothing is created."""
        with self.assertRaises(ValidationError):
            self.book_service.create(self.book().model_copy(update={"author_id": 7}))
        self.assertEqual(self.books.rows, {})

    def test_delete_author(self) -> None:
        """The books of the author go, those of others stay."""
        other = self.author_service.create(AuthorIn(name="Virginia Woolf"))
        self.book_service.create(self.book())
        self.book_service.create(self.book("Orlando").model_copy(update={"author_id": other.id}))
        self.author_service.delete(self.author.id)
        self.assertEqual([book.title for book in self.book_service.all()], ["Orlando"])
        with self.assertRaises(Author.DoesNotExist):
            self.author_service.get(self.author.id)


class OverrideTests(ApiMixin, Fakes):
    def test_the_routes_with_fakes(self) -> None:
        """`dependency_overrides` puts the fakes beneath the routes, through the app that serves both halves."""
        self.book_service.create(self.book())
        api.dependency_overrides[book_service] = lambda: self.book_service
        self.addCleanup(api.dependency_overrides.clear)
        self.assertEqual([book["title"] for book in self.api.get("/v0/books").json()], ["Job"])
        self.assertEqual(self.api.get("/v0/books/7").status_code, 404)
