"""Schemas of the zoo, with the endpoints that write and read its animals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import AfterValidator, BeforeValidator

from djfast_mount.schemas import Create, ModelSchema, Update, register
from djfast_mount.transactions import Atomic
from djfast_mount.urls import get_object_or_404
from project.zoo.models import Animal, Enclosure, Money, MoneyField, Ticket


def _cents(value: Any) -> Any:
    return value.cents if isinstance(value, Money) else value


register(MoneyField, Annotated[int, BeforeValidator(_cents)], Annotated[int, AfterValidator(Money)])


class AnimalSchema(ModelSchema[Animal]):
    class Meta:
        fields = "__all__"


class EnclosureSchema(ModelSchema[Enclosure]):
    class Meta:
        fields = "__all__"


class TicketSchema(ModelSchema[Ticket]):
    class Meta:
        fields = ["pk", "day", "number", "price"]


api = FastAPI()


@api.get("/animals")
def animals() -> list[AnimalSchema]:
    return AnimalSchema.read(Animal.objects.all())


@api.post("/animals", status_code=201)
def add(body: Create[AnimalSchema], _: Atomic) -> AnimalSchema:
    return AnimalSchema.of(body.create())


@api.patch("/animals/{animal_id}")
def change(
    animal: Annotated[Animal, get_object_or_404(Animal, "animal_id", field="id")], body: Update[AnimalSchema], _: Atomic
) -> AnimalSchema:
    return AnimalSchema.of(body.update(animal))


@api.post("/enclosures", status_code=201)
def add_enclosure(body: Create[EnclosureSchema]) -> EnclosureSchema:
    return EnclosureSchema.of(body.create())


@api.post("/tickets", status_code=201)
def add_ticket(body: Create[TicketSchema]) -> TicketSchema:
    return TicketSchema.of(body.create())


@api.get("/tickets")
def tickets() -> list[TicketSchema]:
    return TicketSchema.read(Ticket.objects.order_by("pk"))
