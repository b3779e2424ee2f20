from djfast_mount.schemas import ModelSchema
from simulations.models import Simulation


class SimulationSchema(ModelSchema[Simulation]):
    class Meta:
        fields = ["id", "name", "start_date", "end_date", "created"]
