"""Plain functions with the plain ORM. Each call runs on one thread, with one database connection."""

from fastapi import APIRouter, Request, Response

from djfast_mount.schemas import Create, Update
from simulations.dependencies import WRITES, Mine, Owner
from simulations.schemas import SimulationSchema

router = APIRouter()


@router.get("", summary="All of your simulations", name="simulation-list")
def index(owner: Owner) -> list[SimulationSchema]:
    return SimulationSchema.read(owner.simulations.all())


@router.post("", summary="Add a simulation", status_code=201, dependencies=WRITES)
def create(owner: Owner, sent: Create[SimulationSchema], request: Request, response: Response) -> SimulationSchema:
    simulation = sent.create(owner=owner)
    response.headers["Location"] = str(request.url_for("simulation-detail", simulation_id=simulation.id))
    return SimulationSchema.of(simulation)


@router.get("/{simulation_id}", summary="One simulation", name="simulation-detail")
def read(simulation: Mine) -> SimulationSchema:
    return SimulationSchema.of(simulation)


@router.put("/{simulation_id}", summary="Replace a simulation", dependencies=WRITES)
def replace(simulation: Mine, sent: Create[SimulationSchema]) -> SimulationSchema:
    return SimulationSchema.of(sent.replace(simulation))


@router.patch("/{simulation_id}", summary="Change a simulation", dependencies=WRITES)
def change(simulation: Mine, sent: Update[SimulationSchema]) -> SimulationSchema:
    return SimulationSchema.of(sent.update(simulation))


@router.delete("/{simulation_id}", summary="Delete a simulation", status_code=204, dependencies=WRITES)
def delete(simulation: Mine) -> None:
    simulation.delete()
