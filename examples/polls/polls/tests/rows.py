"""The rows that the tests begin with."""

from datetime import timedelta

from django.utils import timezone

from polls.models import Question


def poll(text: str = "Tea?", *choices: str, days: int = -1) -> Question:
    """A question of some days from now, with its choices."""
    question = Question.objects.create(question_text=text, pub_date=timezone.now() + timedelta(days))
    for choice in choices or ("Yes", "No"):
        question.choices.create(choice_text=choice)
    return question
