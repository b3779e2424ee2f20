"""The fixtures of the books. `db`, which rolls back, is pytest-django's; nothing has to be set up or migrated here."""

from datetime import date

import pytest

from authors.models import Author
from books.models import Book
from djfast_mount.testing import Client


@pytest.fixture
def client(api_client: Client) -> Client:
    return api_client


@pytest.fixture
def books(db: None) -> list[Book]:
    author = Author.objects.create(name="Virginia Woolf", bio="She wrote in London and Sussex.")
    published = {"To the Lighthouse": 1927, "Mrs Dalloway": 1925, "Orlando": 1928}
    return [
        Book.objects.create(title=title, author=author, isbn=f"978{year:010}", publication_date=date(year, 1, 1))
        for title, year in published.items()
    ]
