import secrets
from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand

from djfast_mount.tokens.models import APIToken
from simulations.models import Simulation, User

NAME = "demo"
SIMULATIONS = {"Tide": 7, "Current": 14, "Shoal": 30}


class Command(BaseCommand):
    help = f"Make the superuser {NAME!r} with a few simulations, and print a new password and a new API key."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", help="this password instead of a random one")

    def handle(self, *args: Any, password: str | None, **options: Any) -> None:
        password = password or secrets.token_urlsafe(9)
        user, _ = User.objects.get_or_create(username=NAME)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
        start = date(2026, 1, 1)
        for name, days in SIMULATIONS.items():
            dates = {"start_date": start, "end_date": start + timedelta(days)}
            Simulation.objects.get_or_create(owner=user, name=name, defaults=dates)
        key = APIToken.objects.issue(user, "seed", as_owner=True).text
        self.stdout.write(f"Admin user: {NAME}\nPassword:   {password}\nAPI key:    {key}")
