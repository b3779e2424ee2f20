from fastapi import APIRouter

from polls.adapters import AChoice, AllChoices
from polls.models import Choice
from polls.schemas import ChoiceSchema, ChoiceWithQuestion

router = APIRouter(prefix="/choices", tags=["choices"])


@router.get("")
async def list_choices(choices: AllChoices) -> list[ChoiceWithQuestion]:
    return await ChoiceWithQuestion.aread(choices)


@router.get("/{id}")
def get_choice(choice: AChoice) -> ChoiceWithQuestion:
    return ChoiceWithQuestion.of(choice)


@router.post("/{id}/votes")
async def vote(choice: AChoice) -> ChoiceSchema:
    await Choice.objects.filter(id=choice.id).avote()
    await choice.arefresh_from_db()
    return await ChoiceSchema.aof(choice)
