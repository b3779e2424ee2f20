"""What endpoints ask for: the user who calls, and a simulation of that user's."""

from typing import Annotated

from fastapi import Depends

from djfast_mount.auth import current_user
from djfast_mount.transactions import atomic
from djfast_mount.urls import get_object_or_404
from simulations.models import Simulation, User

# Where a write fails, what the database refused is rolled back with all that came before it.
WRITES = [atomic()]
Owner = Annotated[User, Depends(current_user)]
# 404 for what belongs to another, as for what is not there: nobody learns which it was.
get_object = get_object_or_404(Simulation, "simulation_id", field="id", owner="owner")
Mine = Annotated[Simulation, get_object]
