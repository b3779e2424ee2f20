"""What is beside the endpoints: the admin on the same port, the docs, the migrations, the seed data."""

from io import StringIO
from uuid import uuid4

from django.conf import settings
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.test import override_settings

from djfast_mount import mount
from djfast_mount.testing import ApiTestCase, Client
from djfast_mount.tokens.models import APIToken
from djfast_mount.urls import reverse
from simulations.models import Simulation, User
from simulations.tests.keys import key_of


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

    def test_the_session_is_held_to_csrf(self) -> None:
        """A write by the session alone wants Django's token; one by the key does not."""
        admin = User.objects.create_superuser("admin")
        client = Client(enforce_csrf_checks=True)
        self.addCleanup(client.close)
        client.force_login(admin)
        url = reverse("api:simulation-list")
        sent = {"name": "Tide", "start_date": "2026-01-01", "end_date": "2026-01-08"}
        self.assertEqual(client.post(url, json=sent).status_code, 403)
        client.get("/admin/password_change/")  # A page with a form, so with the token in a cookie.
        token = {"X-CSRFToken": client.cookies["csrftoken"]}
        self.assertEqual(client.post(url, json=sent, headers=token).status_code, 201)
        client.logout()
        key = {"X-API-Key": key_of(admin)}
        self.assertEqual(client.post(url, json={**sent, "name": "Ebb"}, headers=key).status_code, 201)

    @override_settings(
        DJFAST_MOUNT={
            **settings.DJFAST_MOUNT,
            "django_middleware_for_api": ["django.middleware.locale.LocaleMiddleware"],
        }
    )
    def test_middleware_of_djangos_runs_where_it_is_named(self) -> None:
        """With the setting, endpoints of both kinds are served in the language that the client asks for."""
        admin = User.objects.create_superuser("admin")
        client = Client(mount("/api"))
        self.addCleanup(client.close)
        for name in ("simulation-list", "async-simulation-list"):
            headers = {"X-API-Key": key_of(admin), "Accept-Language": "de"}
            self.assertEqual(client.get(reverse(f"api:{name}"), headers=headers).headers["Content-Language"], "de")

    def test_the_docs_know_both_ways_in(self) -> None:
        """OpenAPI lists the key, the token and the session, and FastAPI's own route options."""
        self.api.force_login(User.objects.create_superuser("admin"))
        schema = self.api.get("/api/openapi.json").json()
        self.assertEqual(set(schema["components"]["securitySchemes"]), {"X-API-Key", "session", "API token"})
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
        """A second `seed` doubles nothing, and what each printed works; the database has no key in clear text."""
        printed = [StringIO(), StringIO()]
        for each in printed:
            call_command("seed", stdout=each)
        first, words = (dict(line.split(":", 1) for line in each.getvalue().splitlines()) for each in printed)
        keys = [each["API key"].strip() for each in (first, words)]
        for column in APIToken.objects.values_list():
            self.assertFalse({*keys} & {str(value) for value in column})
        self.assertEqual(authenticate(username="demo", password=words["Password"].strip()), User.objects.get())
        for key in keys:
            answer = self.api.get("/api/v1/simulations", headers={"X-API-Key": key})
            self.assertEqual(len(answer.json()), 3)
