"""The routes, with pytest's fixtures. Each test is rolled back: none of them truncates a table."""

import pytest
from deepdiff import DeepDiff

from books.models import Book
from djfast_mount.testing import Client

EXPECTED = [
    {"title": "Mrs Dalloway", "isbn": "9780000001925", "publication_date": "1925-01-01"},
    {"title": "Orlando", "isbn": "9780000001928", "publication_date": "1928-01-01"},
    {"title": "To the Lighthouse", "isbn": "9780000001927", "publication_date": "1927-01-01"},
]


def test_get_all_books(client: Client, books: list[Book]) -> None:
    """All books are answered, in the order of their titles."""
    response = client.get("/v0/books")
    assert response.status_code == 200
    ids = r"root\[\d+\]\['(id|author_id)'\]"
    assert DeepDiff(response.json(), EXPECTED, exclude_regex_paths=[ids]) == {}


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_left_of_a_test(client: Client, books: list[Book], number: int) -> None:
    """What a test has written through the API is not there for the next: both find three books."""
    assert len(client.get("/v0/books").json()) == 3
    added = {"title": "Flush", "author_id": books[0].author_id}
    assert client.post("/v0/books", json=added).status_code == 201
    assert Book.objects.count() == 4


def test_get_a_book(client: Client, books: list[Book]) -> None:
    """A book is answered by its id, and an id of none is 404."""
    [first, *_] = books
    assert client.get(f"/v0/books/{first.id}").json()["title"] == "To the Lighthouse"
    assert client.get("/v0/books/999999999").status_code == 404


def test_a_book_without_isbn_and_date(client: Client, books: list[Book]) -> None:
    """What the models let be empty is no error in an answer."""
    created = client.post("/v0/books", json={"title": "Flush", "author_id": books[0].author_id}).json()
    assert client.get(f"/v0/books/{created['id']}").json() == created
    assert (created["isbn"], created["publication_date"]) == ("", None)


def test_replace_a_book(client: Client, books: list[Book]) -> None:
    """PUT changes the row, and the id stays."""
    [first, *_] = books
    changed = {"title": "Flush", "author_id": first.author_id, "isbn": "", "publication_date": "1933-01-01"}
    assert client.put(f"/v0/books/{first.id}", json=changed).json() == changed | {"id": first.id}
    assert Book.objects.get(id=first.id).title == "Flush"


def test_delete_a_book(client: Client, books: list[Book]) -> None:
    """A deleted book is gone, and a second DELETE finds nothing."""
    [first, *_] = books
    assert [client.delete(f"/v0/books/{first.id}").status_code for _ in range(2)] == [204, 404]
    assert Book.objects.count() == 2


def test_a_book_wants_an_author(client: Client, books: list[Book]) -> None:
    """An author who is not there is a 422 that names the field."""
    answer = client.post("/v0/books", json={"title": "Flush", "author_id": 999999999})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "author_id"])


def test_delete_an_author(client: Client, books: list[Book]) -> None:
    """With an author go all the books."""
    author_id = books[0].author_id
    assert client.delete(f"/v0/authors/{author_id}").status_code == 204
    assert (client.get(f"/v0/authors/{author_id}").status_code, client.get("/v0/books").json()) == (404, [])


def test_an_author_who_is_not_there_costs_no_books(client: Client, books: list[Book]) -> None:
    """DELETE for an author of none is 404, and leaves every book."""
    assert client.delete("/v0/authors/999999999").status_code == 404
    assert Book.objects.count() == 3
