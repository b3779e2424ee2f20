"""From what a URL says to what the database holds: the dependencies of the routers, with 404 for what is not there."""

from typing import Annotated

from django.db.models import QuerySet
from fastapi import Depends

from djfast_mount.urls import get_object_or_404
from polls.models import Choice, Question


def questions() -> QuerySet[Question]:
    return Question.objects.published()


def choices() -> QuerySet[Choice]:
    return Choice.objects.filter(question__in=Question.objects.published())


AllQuestions = Annotated[QuerySet[Question], Depends(questions)]
AQuestion = Annotated[Question, get_object_or_404(questions(), "id")]
AllChoices = Annotated[QuerySet[Choice], Depends(choices)]
AChoice = Annotated[Choice, get_object_or_404(choices(), "id")]
