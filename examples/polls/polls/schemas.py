"""What goes in and out. `from_attributes` reads models and, where a schema is nested, what they are related to."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from djfast_mount.schemas import Related


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
    choices: Related[ChoiceOut]


class ChoiceWithQuestion(ChoiceOut):
    question: QuestionOut


class QuestionIn(BaseModel):
    question_text: str = Field(min_length=1, max_length=200)
    choices: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=2, max_length=20)
