"""From what a URL says to what the database holds: the dependencies of the routers, with 404 for what is not there."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from django.db.models import Model, QuerySet
from django.shortcuts import aget_object_or_404
from fastapi import Depends, Path

from polls.models import Choice, Question

M = TypeVar("M", bound=Model)


def questions() -> QuerySet[Question]:
    return Question.objects.published().prefetch_related("choices")


def choices() -> QuerySet[Choice]:
    return Choice.objects.filter(question__in=Question.objects.published())


def one_of(rows: Callable[[], QuerySet[M]]) -> Any:
    """Returns a dependency for `def` and `async def` endpoints alike: the row with the path's id."""

    async def retrieve(row_id: Annotated[int, Path(alias="id")]) -> M:
        return await aget_object_or_404(rows(), id=row_id)

    return Depends(retrieve)


AQuestion = Annotated[Question, one_of(questions)]
AChoice = Annotated[Choice, one_of(choices)]
AllQuestions = Annotated[QuerySet[Question], Depends(questions)]
AllChoices = Annotated[QuerySet[Choice], Depends(choices)]
