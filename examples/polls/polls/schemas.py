"""What goes in and out, made of the models: a schema that is nested stands for a relation."""

from pydantic import Field

from djfast_mount.schemas import Create, ModelSchema
from polls.models import Choice, Question


class ChoiceSchema(ModelSchema[Choice]):
    class Meta:
        fields = ["id", "choice_text", "votes"]
        read_only = ["votes"]


class QuestionSchema(ModelSchema[Question]):
    class Meta:
        fields = ["id", "question_text", "pub_date"]
        read_only = ["pub_date"]


class QuestionWithChoices(QuestionSchema):
    choices: list[ChoiceSchema]


class ChoiceWithQuestion(ChoiceSchema):
    question: QuestionSchema


class QuestionIn(Create[QuestionWithChoices]):
    choices: list[Create[ChoiceSchema]] = Field(min_length=2, max_length=20)
