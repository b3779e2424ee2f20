"""Plain functions with the plain ORM. Each call runs on one thread, with one database connection."""

from django.db.models import QuerySet
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from simulations.dependencies import WRITES, Mine, Owner
from simulations.models import Simulation
from simulations.schemas import SimulationChanges, SimulationIn, SimulationOut

router = APIRouter()


def saved(simulation: Simulation, sent: BaseModel) -> Simulation:
    for name, value in sent.model_dump(exclude_unset=True).items():
        setattr(simulation, name, value)
    simulation.clean()
    simulation.save()
    return simulation


@router.get("", summary="All of your simulations", name="simulation-list", response_model=list[SimulationOut])
def index(owner: Owner) -> QuerySet[Simulation]:
    return owner.simulations.all()


@router.post("", summary="Add a simulation", status_code=201, response_model=SimulationOut, dependencies=WRITES)
def create(owner: Owner, sent: SimulationIn, request: Request, response: Response) -> Simulation:
    simulation = saved(Simulation(owner=owner), sent)
    response.headers["Location"] = str(request.url_for("simulation-detail", simulation_id=simulation.id))
    return simulation


@router.get("/{simulation_id}", summary="One simulation", name="simulation-detail", response_model=SimulationOut)
def read(simulation: Mine) -> Simulation:
    return simulation


@router.put("/{simulation_id}", summary="Replace a simulation", response_model=SimulationOut, dependencies=WRITES)
def replace(simulation: Mine, sent: SimulationIn) -> Simulation:
    return saved(simulation, sent)


@router.patch("/{simulation_id}", summary="Change a simulation", response_model=SimulationOut, dependencies=WRITES)
def change(simulation: Mine, sent: SimulationChanges) -> Simulation:
    return saved(simulation, sent)


@router.delete("/{simulation_id}", summary="Delete a simulation", status_code=204, dependencies=WRITES)
def delete(simulation: Mine) -> None:
    simulation.delete()
