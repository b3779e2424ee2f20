"""Starts an API of 50 models, and says how much CPU time that took: `python -m benchmarks.resource_start KIND`.

Of 25 models of companies each has departments, and shows them. It is the time of the whole process, from its first
line to its first answer, with the system checks and the lifespan. FastAPI reads the routes of included routers twice:
when they are made, and when the first request comes.
"""

import sys
import time
from typing import Any, Literal

import benchmarks.resource_site  # noqa: F401  (sets Django up, which the imports below ask for)

# isort: split
from django.db import models
from fastapi import APIRouter, FastAPI, Request

from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import Create, ModelSchema, Page, Update
from djfast_mount.testing import Client

PAIRS = 25
WRITES = {"create": True, "update": True, "delete": True}
KINDS = ("models alone", "schemas", "routers that read", "routers that write", "the same routes by hand")


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

    unit = declared(below, f"UnitSchema{number}", ["id", "company", "name", "budget", "size"])
    return declared(above, f"FirmSchema{number}", fields, departments=list[unit]), unit


def by_hand(schema: Any, prefix: str) -> APIRouter:
    """The 12 routes of a router that writes, without anything that they do."""
    router = APIRouter(prefix=prefix)
    create, update = Create[schema], Update[schema]

    def listed(request: Request) -> None: ...

    def aggregated(request: Request, function: Literal["count", "sum"], field: Literal["id", "name"]) -> None: ...

    def row(request: Request, row_id: int) -> None: ...

    def created(request: Request, body: create) -> None: ...  # type: ignore[valid-type]

    def created_several(request: Request, body: list[create]) -> None: ...  # type: ignore[valid-type]

    def updated(request: Request, row_id: int, body: update) -> None: ...  # type: ignore[valid-type]

    def updated_several(request: Request, body: list[update]) -> None: ...  # type: ignore[valid-type]

    for method in ("GET", "HEAD"):
        router.add_api_route("", listed, methods=[method], response_model=Page[schema])
        router.add_api_route("/aggregate/{function}/{field}", aggregated, methods=[method], response_model=None)
        router.add_api_route("/{row_id}", row, methods=[method], response_model=schema)
    router.add_api_route("", created, methods=["POST"], response_model=schema)
    router.add_api_route("/bulk", created_several, methods=["POST"], response_model=list[schema])
    router.add_api_route("", updated_several, methods=["PATCH"], response_model=list[schema])
    for method in ("PUT", "PATCH"):
        router.add_api_route("/{row_id}", updated, methods=[method], response_model=schema)
    router.add_api_route("/{row_id}", row, methods=["DELETE"], status_code=204, response_model=None)
    return router


def router_of(kind: str, schema: Any, prefix: str) -> APIRouter:
    if kind == "the same routes by hand":
        return by_hand(schema, prefix)
    return ModelRouter(schema, prefix=prefix, **(WRITES if kind == "routers that write" else {}))


def main() -> None:
    kind = sys.argv[1]
    if kind not in KINDS:
        sys.exit(f"There is no kind {kind!r}: there are {', '.join(KINDS)}.")
    made, api = [pair(number) for number in range(PAIRS)], FastAPI()
    if kind != "models alone":
        for number, models_of in enumerate(made):
            for place, schema in zip(("firms", "units"), schemas(number, *models_of), strict=True):
                if kind != "schemas":
                    api.include_router(router_of(kind, schema, f"/{place}{number}"))
    with Client(mount("/api", api, static=False)) as client:
        ready = time.process_time()
        assert client.get("/api/nothing").status_code == 404
    print(ready, time.process_time())


if __name__ == "__main__":
    main()
