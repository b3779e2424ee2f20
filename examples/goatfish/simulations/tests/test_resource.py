"""The API that a router makes: the caller's simulations, by key and by token."""

from datetime import date

from djfast_mount.testing import ApiTestCase
from simulations.models import Simulation, User
from simulations.tests.keys import key_of

URL = "/api/v1/resource/simulations"
DATES = {"start_date": "2026-01-01", "end_date": "2026-01-08"}


class ResourceTest(ApiTestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.user, cls.other = (User.objects.create_user(name) for name in ("anna", "bert"))
        days = {"start_date": date(2026, 1, 1), "end_date": date(2026, 1, 8)}
        cls.theirs = Simulation.objects.create(owner=cls.other, name="Shoal", **days)

    def test_by_token_and_by_key(self) -> None:
        """Both log the owner in, who reads and writes what is their own."""
        key = key_of(self.user)
        for number, headers in enumerate(({"Authorization": f"Bearer {key}"}, {"X-API-Key": key})):
            made = self.api.post(URL, json={"name": f"Tide {number}", **DATES}, headers=headers)
            self.assertEqual(made.status_code, 201, made.text)
            self.assertEqual(Simulation.objects.get(pk=made.json()["id"]).owner, self.user)
            found = self.api.get(f"{URL}?name=Tide {number}", headers=headers).json()["items"]
            self.assertEqual([item["id"] for item in found], [made.json()["id"]])
            theirs = f"{URL}/{self.theirs.pk}"
            self.assertEqual(self.api.get(theirs, headers=headers).status_code, 404)
            self.assertEqual(self.api.patch(theirs, json={"name": "x"}, headers=headers).status_code, 404)

    def test_rules_of_the_model(self) -> None:
        """Its clean() and its constraint are told with the field, and nobody is nobody."""
        self.api.headers["X-API-Key"] = key_of(self.user)
        wrong = self.api.post(URL, json={"name": "Tide", **DATES, "end_date": "2025-01-01"})
        self.assertEqual((wrong.status_code, wrong.json()["detail"][0]["loc"]), (422, ["body", "end_date"]))
        del self.api.headers["X-API-Key"]
        self.assertEqual(self.api.get(URL).status_code, 401)
