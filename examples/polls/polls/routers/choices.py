from fastapi import APIRouter

from polls.adapters import AChoice, AllChoices
from polls.models import Choice
from polls.schemas import ChoiceOut, ChoiceWithQuestion

router = APIRouter(prefix="/choices", tags=["choices"])


@router.get("", response_model=list[ChoiceWithQuestion])
async def list_choices(choices: AllChoices) -> list[Choice]:
    # A coroutine asks for the related rows beforehand: its answer is made on the event loop, where no query may run.
    return [choice async for choice in choices.select_related("question")]


@router.get("/{id}", response_model=ChoiceWithQuestion)
def get_choice(choice: AChoice) -> Choice:
    """The answer of a function is made where its queries ran, so its relations may be read as late as that."""
    return choice


@router.post("/{id}/votes", response_model=ChoiceOut)
async def vote(choice: AChoice) -> Choice:
    await Choice.objects.filter(id=choice.id).avote()
    await choice.arefresh_from_db()
    return choice
