import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from polls.models import Question

NAME = "demo"
POLLS = {
    "Which half of the day is yours?": ["The morning", "The evening", "Neither"],
    "How do you take your coffee?": ["Black", "With milk", "I drink tea"],
}


class Command(BaseCommand):
    help = f"Make the superuser {NAME!r} and a few polls, and print a new password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", help="this password instead of a random one")

    def handle(self, *args: Any, password: str | None, **options: Any) -> None:
        password = password or secrets.token_urlsafe(9)
        user, _ = get_user_model().objects.get_or_create(username=NAME)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
        for text, choices in POLLS.items():
            question, _ = Question.objects.get_or_create(question_text=text)
            for choice in choices:
                question.choices.get_or_create(choice_text=choice)
        self.stdout.write(f"Admin user: {NAME}\nPassword:   {password}")
