"""What goes in and out. `from_attributes` reads models and, where a schema is nested, what they are related to."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from django.db.models import Manager
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def rows(related: Manager | Iterable[object]) -> Iterable[object]:
    """Of a relation to many a model has a manager, where a schema wants a list."""
    return list(related.all()) if isinstance(related, Manager) else related


class Readable(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int


class ChoiceOut(Readable):
    choice_text: str
    votes: int


class QuestionOut(Readable):
    question_text: str
    pub_date: datetime


class QuestionWithChoices(QuestionOut):
    choices: Annotated[list[ChoiceOut], BeforeValidator(rows)]


class ChoiceWithQuestion(ChoiceOut):
    question: QuestionOut


class QuestionIn(BaseModel):
    question_text: str = Field(min_length=1, max_length=200)
    choices: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=2, max_length=20)
