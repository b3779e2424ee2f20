"""What is beside the endpoints: the admin on the same port, the docs, the migrations, the seed data."""

from io import StringIO
from uuid import uuid4

from django.contrib.auth import authenticate
from django.core.management import call_command

from djfast_mount.testing import ApiTestCase
from djfast_mount.urls import reverse
from simulations.models import Simulation, User


class SiteTests(ApiTestCase):
    def test_the_admin_and_the_api_share_a_port(self) -> None:
        """A simulation added in the admin is answered by the API of the same app, to its owner."""
        admin = User.objects.create_superuser("admin")
        self.api.force_login(admin)
        form = {"owner": admin.id, "name": "Tide", "start_date": "2026-01-01", "end_date": "2026-01-08"}
        added = self.api.post("/admin/simulations/simulation/add/", data=form)
        self.assertEqual(added.status_code, 302, added.text)
        self.assertEqual([found["name"] for found in self.api.get("/api/v1/simulations").json()], ["Tide"])

    def test_the_admin_keeps_the_rule_of_the_model(self) -> None:
        """An end before the start is refused by the form as it is by the API."""
        admin = User.objects.create_superuser("admin")
        self.api.force_login(admin)
        form = {"owner": admin.id, "name": "Tide", "start_date": "2026-01-08", "end_date": "2026-01-01"}
        answer = self.api.post("/admin/simulations/simulation/add/", data=form)
        self.assertIn("does not end before it starts", answer.text)
        self.assertFalse(Simulation.objects.exists())

    def test_the_docs_know_both_ways_in(self) -> None:
        """OpenAPI lists the key and the session, and FastAPI's own route options."""
        self.api.force_login(User.objects.create_superuser("admin"))
        schema = self.api.get("/api/openapi.json").json()
        self.assertEqual(set(schema["components"]["securitySchemes"]), {"X-API-Key", "session"})
        operation = schema["paths"]["/v1/simulations"]["post"]
        self.assertEqual((operation["summary"], operation["tags"]), ("Add a simulation", ["simulations"]))

    def test_names_are_reversed(self) -> None:
        """One `reverse` knows the endpoints' names and Django's."""
        simulation_id = uuid4()
        self.assertEqual(
            [reverse("api:simulation-detail", simulation_id=simulation_id), reverse("admin:index")],
            [f"/api/v1/simulations/{simulation_id}", "/admin/"],
        )

    def test_migrations_are_complete(self) -> None:
        """The migrations say what the models say."""
        call_command("makemigrations", "simulations", check=True, dry_run=True, verbosity=0)

    def test_seed_may_run_again(self) -> None:
        """A second `seed` doubles nothing, keeps the key, and prints a password that works."""
        call_command("seed", stdout=StringIO())
        key = User.objects.get().api_key
        printed = StringIO()
        call_command("seed", stdout=printed)
        words = dict(line.split(":", 1) for line in printed.getvalue().splitlines())
        self.assertEqual((User.objects.get().api_key, words["API key"].strip()), (key, key))
        self.assertEqual(authenticate(username="demo", password=words["Password"].strip()), User.objects.get())
        answer = self.api.get("/api/v1/simulations", headers={"X-API-Key": key})
        self.assertEqual(len(answer.json()), 3)
