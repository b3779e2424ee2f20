"""Starts an API of 50 models, and says how much CPU time that took: `python -m benchmarks.resource_start KIND`.

Of 25 models of companies each has departments, and shows them. It is the time of the whole process, from its first
line to its first answer, with the system checks and the lifespan.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import benchmarks.resource_site  # noqa: F401  (sets Django up, which the imports below ask for)

# isort: split
from django.db import models
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import ModelSchema
from djfast_mount.testing import Client

PAIRS = 25
WRITES = {"create": True, "update": True, "delete": True}
KINDS: dict[str, dict[str, Any] | None] = {
    "models alone": None,
    "schemas": None,
    "routers that read": {},
    "routers that write": WRITES,
    'routers that write, filters="all", search': {**WRITES, "filters": "all", "search": ["name"]},
}


def pair(number: int) -> tuple[type[models.Model], type[models.Model]]:
    class Meta:
        app_label = "companies"

    place = {"__module__": "project.companies.models", "Meta": Meta}
    company = {
        "name": models.CharField(max_length=60),
        "slug": models.SlugField(unique=True),
        "status": models.CharField(max_length=10, choices=[("open", "Open"), ("closed", "Closed")], default="open"),
        "founded": models.DateField(null=True, blank=True),
        "size": models.IntegerField(null=True, blank=True),
        "rating": models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True),
        "listed": models.BooleanField(default=False),
        "created": models.DateTimeField(auto_now_add=True),
    }
    above = type(f"Firm{number}", (models.Model,), {**place, **company})
    department = {
        "company": models.ForeignKey(above, models.CASCADE, related_name="departments"),
        "name": models.CharField(max_length=40),
        "budget": models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True),
        "size": models.IntegerField(default=0),
    }
    return above, type(f"Unit{number}", (models.Model,), {**place, **department})


def schemas(number: int, above: Any, below: Any) -> tuple[Any, Any]:
    fields = ["id", "name", "slug", "status", "founded", "size", "rating", "listed", "created"]

    def declared(model: Any, name: str, fields: list[str], **shown: Any) -> Any:
        meta = type("Meta", (), {"fields": fields})
        return type(name, (ModelSchema[model],), {"__module__": __name__, "__annotations__": shown, "Meta": meta})

    unit = declared(below, f"UnitSchema{number}", ["id", "name", "budget", "size"])
    return declared(above, f"FirmSchema{number}", fields, departments=list[unit]), unit


def main() -> None:
    kind = sys.argv[1]
    made = [pair(number) for number in range(PAIRS)]
    api, options = FastAPI(), KINDS[kind]
    if kind != "models alone":
        for number, models_of in enumerate(made):
            for place, schema in enumerate(schemas(number, *models_of)):
                if options is not None:
                    api.include_router(
                        ModelRouter(schema, prefix=f"/{'firms' if place == 0 else 'units'}{number}", **options)
                    )
    with Client(mount("/api", api, static=False)) as client:
        assert client.get("/api/nothing").status_code == 404
    print(time.process_time())


if __name__ == "__main__":
    main()
