"""The same endpoints as coroutines, with the ORM's async methods, and names as the ORM gives them to its own."""

from fastapi import APIRouter, Request, Response

from djfast_mount.schemas import Create, Update
from simulations.dependencies import WRITES, Mine, Owner
from simulations.schemas import SimulationSchema

router = APIRouter()


@router.get("", summary="All of your simulations", name="async-simulation-list")
async def aindex(owner: Owner) -> list[SimulationSchema]:
    return await SimulationSchema.aread(owner.simulations.all())


@router.post("", summary="Add a simulation", status_code=201, dependencies=WRITES)
async def acreate(
    owner: Owner, sent: Create[SimulationSchema], request: Request, response: Response
) -> SimulationSchema:
    simulation = await sent.acreate(owner=owner)
    response.headers["Location"] = str(request.url_for("async-simulation-detail", simulation_id=simulation.id))
    return await SimulationSchema.aof(simulation)


@router.get("/{simulation_id}", summary="One simulation", name="async-simulation-detail")
async def aread(simulation: Mine) -> SimulationSchema:
    return await SimulationSchema.aof(simulation)


@router.put("/{simulation_id}", summary="Replace a simulation", dependencies=WRITES)
async def areplace(simulation: Mine, sent: Create[SimulationSchema]) -> SimulationSchema:
    return await SimulationSchema.aof(await sent.areplace(simulation))


@router.patch("/{simulation_id}", summary="Change a simulation", dependencies=WRITES)
async def achange(simulation: Mine, sent: Update[SimulationSchema]) -> SimulationSchema:
    return await SimulationSchema.aof(await sent.aupdate(simulation))


@router.delete("/{simulation_id}", summary="Delete a simulation", status_code=204, dependencies=WRITES)
async def adelete(simulation: Mine) -> None:
    await simulation.adelete()
