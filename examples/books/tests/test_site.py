"""What is beside the endpoints: the admin and the docs on the same port, the migrations, the seed data."""

from io import StringIO

from django.contrib.auth.models import User
from django.core.management import call_command

from books.models import Book
from djfast_mount.testing import ApiTestCase


class SiteTests(ApiTestCase):
    def test_the_admin_and_the_api_share_a_port(self) -> None:
        """An author and a book added in the admin are answered by the API."""
        self.api.force_login(User.objects.create_superuser("admin"))
        self.api.post("/admin/authors/author/add/", data={"name": "Joseph Roth", "bio": ""})
        [author] = self.api.get("/v0/authors").json()
        self.api.post("/admin/books/book/add/", data={"title": "Job", "author": author["id"]})
        [book] = self.api.get("/v0/books").json()
        self.assertEqual((author["name"], book["title"], book["author_id"]), ("Joseph Roth", "Job", author["id"]))

    def test_both_kinds_of_docs(self) -> None:
        """Swagger and ReDoc show one schema, whose operations are tagged."""
        self.api.force_login(User.objects.create_superuser("admin"))
        for path in ("/v0/docs", "/v0/redoc"):
            self.assertIn("/v0/openapi.json", self.api.get(path).text)
        paths = self.api.get("/v0/openapi.json").json()["paths"]
        self.assertEqual([paths[path]["get"]["tags"] for path in ("/authors", "/books")], [["authors"], ["books"]])

    def test_migrations_are_complete(self) -> None:
        """The migrations say what the models say."""
        call_command("makemigrations", "authors", "books", check=True, dry_run=True, verbosity=0)

    def test_seed_may_run_again(self) -> None:
        """A second `seed` doubles nothing."""
        for _ in range(2):
            call_command("seed", stdout=StringIO())
        self.assertEqual((Book.objects.count(), User.objects.count()), (5, 1))
