"""The API, in Django's plain `TestCase`: every test runs against the functions and against the coroutines."""

from datetime import date
from uuid import uuid4

from asgiref.sync import sync_to_async

from djfast_mount.testing import ApiTestCase
from djfast_mount.urls import reverse
from simulations.models import Simulation, User
from simulations.tests.keys import key_of

DATES = {"start_date": "2026-01-01", "end_date": "2026-01-08"}


class Endpoints:
    """The claims; the classes below say of which endpoints."""

    name: str

    @property
    def url(self) -> str:
        return reverse(f"api:{self.name}-list")

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = User.objects.create_user("anna")
        cls.other = User.objects.create_user("bert")
        cls.mine = Simulation.objects.create(
            owner=cls.user, name="Tide", start_date=date(2026, 1, 1), end_date=date(2026, 1, 8)
        )
        cls.theirs = Simulation.objects.create(
            owner=cls.other, name="Shoal", start_date=date(2026, 1, 1), end_date=date(2026, 1, 8)
        )

    def setUp(self) -> None:
        self.api.headers["X-API-Key"] = key_of(self.user)

    def of(self, simulation: Simulation) -> str:
        return reverse(f"api:{self.name}-detail", simulation_id=simulation.id)

    def test_lists_what_the_caller_owns(self) -> None:
        """The list holds the caller's simulations and nobody else's."""
        self.assertEqual([found["name"] for found in self.api.get(self.url).json()], ["Tide"])

    def test_asks_two_queries(self) -> None:
        """A list costs one query for the user and one for the rows."""
        self.api.get(self.url)  # It notes the use of the key, once a minute.
        with self.assertNumQueries(2):
            self.api.get(self.url)

    def test_creates(self) -> None:
        """What is posted is the caller's, and the Location of the answer leads to it."""
        created = self.api.post(self.url, json={"name": "Current", **DATES})
        self.assertEqual(created.status_code, 201, created.text)
        simulation = Simulation.objects.get(name="Current")
        self.assertEqual(simulation.owner, self.user)
        self.assertEqual(created.headers["Location"], f"http://testserver{self.of(simulation)}")
        self.assertEqual(self.api.get(created.headers["Location"]).json(), created.json())

    def test_replaces(self) -> None:
        """PUT takes every field, and keeps the id."""
        changed = self.api.put(self.of(self.mine), json={"name": "Ebb", **DATES})
        self.assertEqual((changed.status_code, changed.json()["id"]), (200, str(self.mine.id)))
        self.assertEqual(Simulation.objects.get(id=self.mine.id).name, "Ebb")
        self.assertEqual(self.api.put(self.of(self.mine), json={"name": "Ebb"}).status_code, 422)

    def test_changes_parts(self) -> None:
        """PATCH leaves alone what is not sent, and takes null for no field."""
        changed = self.api.patch(self.of(self.mine), json={"end_date": "2026-02-01"})
        self.assertEqual(changed.json() | {"name": "Tide", "end_date": "2026-02-01"}, changed.json())
        self.assertEqual(self.api.patch(self.of(self.mine), json={"name": None}).status_code, 422)

    def test_deletes(self) -> None:
        """What was deleted is gone, and a second DELETE finds nothing."""
        self.assertEqual(self.api.delete(self.of(self.mine)).status_code, 204)
        self.assertFalse(Simulation.objects.filter(id=self.mine.id).exists())
        self.assertEqual(self.api.delete(self.of(self.mine)).status_code, 404)

    def test_hides_what_belongs_to_others(self) -> None:
        """Another's simulation is answered, by every method, as one that does not exist, and is left alone."""
        calls = [
            ("GET", None),
            ("PUT", {"name": "Mine now", **DATES}),
            ("PATCH", {"name": "Mine now"}),
            ("DELETE", None),
        ]
        for method, body in calls:
            with self.subTest(method):
                theirs = self.api.request(method, self.of(self.theirs), json=body)
                nobodys = self.api.request(method, f"{self.url}/{uuid4()}", json=body)
                self.assertEqual((theirs.status_code, theirs.text), (404, nobodys.text))
        self.assertEqual(Simulation.objects.get(id=self.theirs.id).name, "Shoal")

    def test_wants_a_key(self) -> None:
        """Without a key, with a wrong one and with that of a user who was barred, the answer is 401."""
        del self.api.headers["X-API-Key"]
        barred = key_of(self.other)
        User.objects.filter(id=self.other.id).update(is_active=False)
        for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": barred}):
            with self.subTest(headers):
                self.assertEqual(self.api.get(self.url, headers=headers).status_code, 401)

    def test_takes_the_admins_session(self) -> None:
        """Who is logged in on the site needs no key."""
        del self.api.headers["X-API-Key"]
        self.api.force_login(self.other)
        self.assertEqual([found["name"] for found in self.api.get(self.url).json()], ["Shoal"])

    def test_refuses_an_end_before_the_start(self) -> None:
        """The rule of the model, which is the admin form's too, answers 422 and names the field."""
        for answer in (
            self.api.post(self.url, json={"name": "Back", **DATES, "end_date": "2025-12-31"}),
            self.api.patch(self.of(self.mine), json={"start_date": "2026-01-09"}),
        ):
            self.assertEqual((answer.status_code, answer.json()["detail"][0]["loc"]), (422, ["body", "end_date"]))

    def test_refuses_a_name_twice(self) -> None:
        """The model's constraint answers 422 with the words of the model, for one owner only."""
        answer = self.api.post(self.url, json={"name": "Tide", **DATES})
        [error] = answer.json()["detail"]
        self.assertEqual((answer.status_code, error["msg"]), (422, "You have a simulation of this name."))
        self.assertEqual(self.api.post(self.url, json={"name": "Shoal", **DATES}).status_code, 201)


class FunctionTests(Endpoints, ApiTestCase):
    name = "simulation"


class CoroutineTests(Endpoints, ApiTestCase):
    name = "async-simulation"


class AsyncTests(ApiTestCase):
    """A test may be a coroutine too, whichever endpoint it calls."""

    async def test_sees_its_own_rows(self) -> None:
        """Rows that the test has not committed are there for the API, and those of the API for the test."""
        user = await User.objects.acreate_user("anna")
        key = await sync_to_async(key_of)(user)
        for url in (reverse("api:simulation-list"), reverse("api:async-simulation-list")):
            created = await self.async_api.post(url, json={"name": url, **DATES}, headers={"X-API-Key": key})
            self.assertEqual(created.status_code, 201)
        self.assertEqual(await user.simulations.acount(), 2)
