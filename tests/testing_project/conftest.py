"""The data of checks_*.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testing_project.books.models import Book


@pytest.fixture
def books(db: None) -> list[Book]:
    """What had to be truncated away after each test where the API ran in other threads."""
    # Here: pytest loads this file for the tests of the library too, before there are any settings.
    from testing_project.books.models import Author, Book  # noqa: PLC0415

    author = Author.objects.create(name="Mary Shelley")
    rows = [("Frankenstein", 1818), ("The Last Man", 1826)]
    return [Book.objects.create(title=title, author=author, year=year) for title, year in rows]
