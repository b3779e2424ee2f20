"""The same endpoints as coroutines, with the ORM's async methods, and names as the ORM gives them to its own."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from simulations.dependencies import WRITES, Mine, Owner
from simulations.models import Simulation
from simulations.schemas import SimulationChanges, SimulationIn, SimulationOut

router = APIRouter()


async def asaved(simulation: Simulation, sent: BaseModel) -> Simulation:
    for name, value in sent.model_dump(exclude_unset=True).items():
        setattr(simulation, name, value)
    simulation.clean()
    await simulation.asave()
    return simulation


@router.get("", summary="All of your simulations", name="async-simulation-list", response_model=list[SimulationOut])
async def aindex(owner: Owner) -> list[Simulation]:
    return [simulation async for simulation in owner.simulations.all()]


@router.post("", summary="Add a simulation", status_code=201, response_model=SimulationOut, dependencies=WRITES)
async def acreate(owner: Owner, sent: SimulationIn, request: Request, response: Response) -> Simulation:
    simulation = await asaved(Simulation(owner=owner), sent)
    response.headers["Location"] = str(request.url_for("async-simulation-detail", simulation_id=simulation.id))
    return simulation


@router.get("/{simulation_id}", summary="One simulation", name="async-simulation-detail", response_model=SimulationOut)
async def aread(simulation: Mine) -> Simulation:
    return simulation


@router.put("/{simulation_id}", summary="Replace a simulation", response_model=SimulationOut, dependencies=WRITES)
async def areplace(simulation: Mine, sent: SimulationIn) -> Simulation:
    return await asaved(simulation, sent)


@router.patch("/{simulation_id}", summary="Change a simulation", response_model=SimulationOut, dependencies=WRITES)
async def achange(simulation: Mine, sent: SimulationChanges) -> Simulation:
    return await asaved(simulation, sent)


@router.delete("/{simulation_id}", summary="Delete a simulation", status_code=204, dependencies=WRITES)
async def adelete(simulation: Mine) -> None:
    await simulation.adelete()
