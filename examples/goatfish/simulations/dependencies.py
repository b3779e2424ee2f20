"""What endpoints ask for: the user who calls, and a simulation of that user's."""

from typing import Annotated
from uuid import UUID

from django.shortcuts import aget_object_or_404, get_object_or_404
from fastapi import Depends

from djfast_mount.auth import current_user
from djfast_mount.transactions import atomic
from simulations.models import Simulation, User

# Where a write fails, what the database refused is rolled back with all that came before it.
WRITES = [atomic()]
Owner = Annotated[User, Depends(current_user)]


def simulation_of(owner: Owner, simulation_id: UUID) -> Simulation:
    """404 for what belongs to another, as for what is not there: nobody learns which it was."""
    return get_object_or_404(Simulation, id=simulation_id, owner=owner)


async def async_simulation_of(owner: Owner, simulation_id: UUID) -> Simulation:
    return await aget_object_or_404(Simulation, id=simulation_id, owner=owner)


Mine = Annotated[Simulation, Depends(simulation_of)]
AsyncMine = Annotated[Simulation, Depends(async_simulation_of)]
