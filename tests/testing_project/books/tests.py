"""For Django's own runner: the styles of unittest that a project with two halves has.

They are run by tests/testing/test_cases.py, in processes of their own.
"""

from __future__ import annotations

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.core import mail
from django.db import connection, connections, transaction
from django.test import SimpleTestCase, TestCase, override_settings
from django.test.testcases import DatabaseOperationForbidden
from websockets.sync.client import connect

from djfast_mount.testing import ApiMixin, ApiTestCase, ApiTransactionTestCase, StrayConnectionWarning
from djfast_mount.testing.live_server import ApiLiveServerTestCase
from testing_project.asgi import app
from testing_project.books.api import committed
from testing_project.books.models import Author, Book

FRANKENSTEIN = {"title": "Frankenstein", "author": "Mary Shelley", "year": 1818}


class BookApiTests(ApiTestCase):
    """What had to be a TransactionTestCase where the API ran in other threads."""

    def setUp(self) -> None:
        self.author = Author.objects.create(name="Jane Austen")
        self.emma = Book.objects.create(title="Emma", author=self.author, year=1815)

    def test_get(self) -> None:
        response = self.api.get(f"/api/books/{self.emma.pk}")
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json(), {"id": self.emma.pk, "title": "Emma", "year": 1815})
        self.assertEqual(self.api.get("/api/books/0").status_code, 404)

    def test_list(self) -> None:
        for path in ("/api/books", "/api/books/async"):
            with self.subTest(path=path), self.assertNumQueries(1):
                self.assertEqual([book["title"] for book in self.api.get(path).json()], ["Emma"])
        self.assertContains(self.client.get("/books/"), "Emma")
        self.assertEqual(self.api.get("/books/").text, "Emma")

    def test_add(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks:
            response = self.api.post("/api/books", json=FRANKENSTEIN)
        self.assertEqual(response.status_code, 201)
        self.assertEqual(len(callbacks), 1)
        self.assertEqual(Book.objects.get(pk=response.json()["id"]).author.name, "Mary Shelley")
        self.assertEqual([message.subject for message in mail.outbox], ["New: Frankenstein"])

    def test_delete(self) -> None:
        with transaction.atomic():
            self.assertEqual(self.api.delete(f"/api/books/{self.emma.pk}").status_code, 204)
            self.assertFalse(Book.objects.exists())
            transaction.set_rollback(True)
        self.assertTrue(Book.objects.exists())

    def test_lifespan(self) -> None:
        self.assertIsNone(self.api.get("/api/started").json())
        with self.api:
            self.assertEqual(self.api.get("/api/started").json(), 1)

    def test_websocket(self) -> None:
        with self.api.websocket_connect("/api/count") as socket:
            socket.send_text("?")
            self.assertEqual(socket.receive_json(), 1)

    def test_login(self) -> None:
        self.client.force_login(User.objects.create_user("ada"))
        self.assertEqual(self.api.get("/whoami/").text, "ada")
        self.api.logout()
        self.assertEqual(self.client.get("/whoami/").content, b"AnonymousUser")

    def test_stray(self) -> None:
        with self.assertWarnsRegex(StrayConnectionWarning, r"GET /api/books/stray \(.*count_elsewhere\)"):
            self.api.get("/api/books/stray")

    async def test_async(self) -> None:
        await Book.objects.acreate(title="Persuasion", author=self.author, year=1817)
        books = (await self.async_api.get("/api/books")).json()
        self.assertEqual([book["title"] for book in books], ["Emma", "Persuasion"])
        async with self.async_api, self.async_api.websocket_connect("/api/count") as socket:
            await socket.send_text("?")
            self.assertEqual(await socket.receive_json(), 2)

    @override_settings(ALLOWED_HOSTS=["elsewhere"])
    def test_settings(self) -> None:
        self.assertEqual(self.api.get("/api/books").status_code, 400)

    def test_other_database(self) -> None:
        with self.assertRaises(DatabaseOperationForbidden):
            self.api.get("/api/books/archived")


class ClassDataTests(ApiTestCase):
    """Rows of the class are there for every test, and what one test does is gone for the next."""

    author: ClassVar[Author]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.author = Author.objects.create(name="Jane Austen")
        Book.objects.create(title="Emma", author=cls.author, year=1815)

    def add_another(self) -> None:
        self.assertEqual(len(self.api.get("/api/books").json()), 1)
        self.api.post("/api/books", json=FRANKENSTEIN)
        self.assertEqual(len(self.api.get("/api/books").json()), 2)

    def test_one(self) -> None:
        self.add_another()

    def test_two(self) -> None:
        self.add_another()


class TwoDatabasesTests(ApiTestCase):
    databases: ClassVar[set[str]] = {"default", "archive"}  # type: ignore[assignment]

    def test_archive(self) -> None:
        author = Author.objects.using("archive").create(name="Sappho")
        Book.objects.using("archive").create(title="Fragments", author=author, year=-600)
        with self.assertNumQueries(1, using="archive"):
            self.assertEqual(self.api.get("/api/books/archived").json(), 1)


class NoDatabaseTests(ApiMixin, SimpleTestCase):
    asgi_application = app

    def test_queries_are_refused(self) -> None:
        for path in ("/api/books", "/api/books/async", "/books/"):
            with self.subTest(path=path), self.assertRaises(DatabaseOperationForbidden):
                self.api.get(path)

    def test_the_rest_works(self) -> None:
        self.assertEqual(self.api.get("/api/started").json(), None)


class MixinTests(ApiMixin, TestCase):
    asgi_application = "testing_project.asgi:app"

    def test_mixin(self) -> None:
        self.assertEqual(self.api.get("/api/books").json(), [])


class CommittedTests(ApiTransactionTestCase):
    def test_on_commit(self) -> None:
        committed.clear()
        self.api.post("/api/books", json=FRANKENSTEIN)
        self.assertEqual(committed, ["Frankenstein"])
        self.assertEqual(self.titles_seen_elsewhere(), ["Frankenstein"])

    def titles_seen_elsewhere(self) -> list[str]:
        if connection.vendor == "sqlite" and connection.is_in_memory_db():  # type: ignore[attr-defined]
            return list(Book.objects.values_list("title", flat=True))

        def titles() -> list[str]:
            try:
                return list(Book.objects.values_list("title", flat=True))
            finally:
                connections.close_all()

        with ThreadPoolExecutor(1) as executor:
            return executor.submit(titles).result()

    def test_flushed(self) -> None:
        self.assertEqual(self.api.get("/api/books").json(), [])


class LiveTests(ApiLiveServerTestCase):
    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.live_server_url + path) as response:
            return response.read().decode()

    def test_both_halves(self) -> None:
        self.api.post("/api/books", json=FRANKENSTEIN)
        self.assertIn("Frankenstein", self.get("/api/books"))
        self.assertIn("Frankenstein", self.get("/api/books/async"))
        self.assertEqual(self.get("/books/"), "Frankenstein")
        self.assertEqual(self.get("/api/started"), "0")
        self.assertIn("Log in", self.get("/admin/login/"))

    def test_static_files(self) -> None:
        self.assertIn("color: black", self.get("/static/style.css"))
        self.assertIn("--primary", self.get("/static/admin/css/base.css"))

    def test_websocket(self) -> None:
        self.api.post("/api/books", json=FRANKENSTEIN)
        with connect(self.live_server_url.replace("http", "ws") + "/api/count") as socket:
            socket.send("?")
            self.assertEqual(socket.recv(), "1")

    def test_many_at_once(self) -> None:
        self.api.post("/api/books", json=FRANKENSTEIN)
        with ThreadPoolExecutor(8) as executor:
            found = list(executor.map(self.get, ["/api/books", "/books/"] * 8))
        self.assertEqual(len(set(found)), 2)


def tearDownModule() -> None:
    ours = [thread.name for thread in threading.enumerate() if "djfast_mount" in thread.name]
    assert ours == [], ours
