from django.db.models import QuerySet
from fastapi import APIRouter, Depends

from djfast_mount.auth import staff_user
from djfast_mount.transactions import atomic
from polls.adapters import AllQuestions, AQuestion
from polls.models import Choice, Question
from polls.schemas import QuestionIn, QuestionWithChoices

router = APIRouter(prefix="/questions", tags=["questions"])


@router.get("", response_model=list[QuestionWithChoices])
def list_questions(questions: AllQuestions) -> QuerySet[Question]:
    return questions


@router.get("/{id}", response_model=QuestionWithChoices)
async def get_question(question: AQuestion) -> Question:
    return question


@router.post("", status_code=201, response_model=QuestionWithChoices, dependencies=[Depends(staff_user), atomic()])
def ask(sent: QuestionIn) -> Question:
    """The question and its choices, or nothing of them."""
    question = Question.objects.create(question_text=sent.question_text)
    Choice.objects.bulk_create(Choice(question=question, choice_text=text) for text in sent.choices)
    return question
