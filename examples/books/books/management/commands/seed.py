import secrets
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from authors.models import Author
from books.models import Book

NAME = "demo"
BOOKS = {
    "Virginia Woolf": {"Mrs Dalloway": 1925, "To the Lighthouse": 1927, "Orlando": 1928},
    "Joseph Roth": {"Job": 1930, "Radetzky March": 1932},
}


class Command(BaseCommand):
    help = f"Make the superuser {NAME!r} and a shelf of books, and print a new password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", help="this password instead of a random one")

    def handle(self, *args: Any, password: str | None, **options: Any) -> None:
        password = password or secrets.token_urlsafe(9)
        user, _ = get_user_model().objects.get_or_create(username=NAME)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
        for name, titles in BOOKS.items():
            author, _ = Author.objects.get_or_create(name=name)
            for title, year in titles.items():
                published = {"publication_date": date(year, 1, 1)}
                Book.objects.get_or_create(title=title, author=author, defaults=published)
        self.stdout.write(f"Admin user: {NAME}\nPassword:   {password}")
