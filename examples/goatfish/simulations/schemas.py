"""What goes in and out, written by hand: one class each for what is sent whole, in part, and answered."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class SimulationIn(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    start_date: date
    end_date: date


class SimulationChanges(BaseModel):
    # The None is for what was left out; sent, it is a 422.
    name: str = Field(default=None, min_length=1, max_length=100)
    start_date: date = Field(default=None)
    end_date: date = Field(default=None)


class SimulationOut(SimulationIn):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created: datetime
