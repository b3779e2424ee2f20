"""The same API once more, by a router: three lines, and whose simulations they are."""

from typing import Any

from django.db.models import Q

from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ModelRouter
from simulations.models import User
from simulations.schemas import SimulationSchema


def owned(access: User) -> Q:
    return Q(owner=access)


def owner(access: User) -> dict[str, Any]:
    return {"owner": access}


writes = {"create": True, "update": True, "delete": True, "server_values": owner}
router = ModelRouter(SimulationSchema, prefix="/simulations", security=CurrentUser, rows=owned, **writes)
