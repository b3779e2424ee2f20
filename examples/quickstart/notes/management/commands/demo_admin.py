import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

NAME = "demo"


class Command(BaseCommand):
    help = f"Make the superuser {NAME!r} where there is none, give it a new random password, and print both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", help="this password instead of a random one")

    def handle(self, *args: Any, password: str | None, **options: Any) -> None:
        password = password or secrets.token_urlsafe(9)
        user, _ = get_user_model().objects.get_or_create(username=NAME)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
        self.stdout.write(f"Admin user: {NAME}\nPassword:   {password}")
