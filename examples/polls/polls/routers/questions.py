from fastapi import APIRouter, Depends

from djfast_mount.auth import staff_user
from djfast_mount.transactions import atomic
from polls.adapters import AllQuestions, AQuestion
from polls.schemas import QuestionIn, QuestionWithChoices

router = APIRouter(prefix="/questions", tags=["questions"])


@router.get("")
def list_questions(questions: AllQuestions) -> list[QuestionWithChoices]:
    return QuestionWithChoices.read(questions)


@router.get("/{id}")
async def get_question(question: AQuestion) -> QuestionWithChoices:
    return await QuestionWithChoices.aof(question)


@router.post("", status_code=201, dependencies=[Depends(staff_user), atomic()])
def ask(sent: QuestionIn) -> QuestionWithChoices:
    """The question and its choices, or nothing of them."""
    return QuestionWithChoices.of(sent.create())
