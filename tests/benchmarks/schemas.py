"""What it costs to read rows into JSON: `python tests/benchmarks/schemas.py [--db postgres] [--rounds 40]`.

100 companies with 5 departments each, 600 rows. Every contender gives the same JSON. The rounds are interleaved, and
what counts is the CPU time of the process: its 10th percentile, and the ratio to ours.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "src")]
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"

from harness import postgres  # noqa: E402

COMPANIES, DEPARTMENTS = 100, 5
Contender = Callable[[], bytes]


def fill() -> None:
    """Makes the tables and their rows, in a database of the run's own."""
    from django.core.management import call_command  # noqa: PLC0415  (models: after the settings are known)

    from project.firm.models import Company, Department  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    rows = [Company(name=f"Company {n}", founded=date(2000, 1, 1), motto="We do.") for n in range(COMPANIES)]
    companies = Company.objects.bulk_create(rows)
    Department.objects.bulk_create(
        Department(company=company, name=f"Department {n}", code=f"d{n}", size=n)
        for company in companies
        for n in range(DEPARTMENTS)
    )


def declared_by_us() -> tuple[Any, Any, Any]:
    from djfast_mount.schemas import ModelSchema  # noqa: PLC0415
    from project.firm.models import Company, Department  # noqa: PLC0415

    class DepartmentSchema(ModelSchema[Department]):
        class Meta:
            fields = ["id", "name", "code", "size"]

    class CompanySchema(ModelSchema[Company]):
        departments: list[DepartmentSchema]

        class Meta:
            fields = ["id", "name", "status", "founded", "motto"]

    class ByDatabase(CompanySchema):
        class Meta(CompanySchema.Meta):
            way = "database"

    class BySqlThatIsKept(ByDatabase):
        class Meta(ByDatabase.Meta):
            keep_sql = True

    return CompanySchema, ByDatabase, BySqlThatIsKept


def ours() -> dict[str, Contender]:
    from project.firm.models import Company  # noqa: PLC0415

    schema, by_database, kept = declared_by_us()

    class ByInstances(schema):  # type: ignore[misc, valid-type]
        class Meta(schema.Meta):  # type: ignore[misc]
            way = "instances"

    return {
        "ModelSchema, by the plan": lambda: schema.read_json(Company.objects.all()),
        "ModelSchema, by instances": lambda: ByInstances.read_json(Company.objects.all()),
        "ModelSchema, by the database": lambda: by_database.read_json(Company.objects.all()),
        "ModelSchema, with keep_sql": lambda: kept.read_json(Company.objects.all()),
    }


def declared_plainly() -> Any:
    from pydantic import BaseModel, ConfigDict  # noqa: PLC0415

    from djfast_mount.schemas import Related  # noqa: PLC0415

    class DepartmentOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        id: int
        name: str
        code: str
        size: int

    class CompanyOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        id: int
        name: str
        status: str
        founded: date | None
        motto: str
        departments: Related[DepartmentOut]

    CompanyOut.model_rebuild()  # Here, where what it names is known.
    return CompanyOut


def plain() -> dict[str, Contender]:
    from pydantic import TypeAdapter  # noqa: PLC0415

    from project.firm.models import Company  # noqa: PLC0415

    adapter: Any = TypeAdapter(list[declared_plainly()])  # type: ignore[misc]
    rows = Company.objects.prefetch_related("departments")
    return {"FastAPI, from_attributes": lambda: adapter.dump_json(adapter.validate_python(list(rows.all())))}


def declared_for_ninja() -> Any:
    from ninja import ModelSchema  # noqa: PLC0415

    from project.firm.models import Company, Department  # noqa: PLC0415

    class DepartmentOut(ModelSchema):
        class Meta:
            model = Department
            fields = ["id", "name", "code", "size"]

    class CompanyOut(ModelSchema):
        departments: list[DepartmentOut]

        class Meta:
            model = Company
            fields = ["id", "name", "status", "founded", "motto"]

    CompanyOut.model_rebuild()
    return CompanyOut


def ninja() -> dict[str, Contender]:
    from ninja.renderers import JSONRenderer  # noqa: PLC0415
    from pydantic import TypeAdapter  # noqa: PLC0415

    from project.firm.models import Company  # noqa: PLC0415

    adapter: Any = TypeAdapter(list[declared_for_ninja()])  # type: ignore[misc]
    renderer = JSONRenderer()
    rows = Company.objects.prefetch_related("departments")

    def read() -> bytes:
        # As ninja's Operation does: validated, dumped to Python, rendered.
        found = adapter.validate_python(list(rows.all()), from_attributes=True)
        rendered = renderer.render(None, adapter.dump_python(found, by_alias=True), response_status=200)  # type: ignore[arg-type]
        return str(rendered).encode()

    return {"django-ninja, ModelSchema": read}


def declared_for_drf() -> Any:
    from rest_framework.serializers import ModelSerializer  # noqa: PLC0415

    from project.firm.models import Company, Department  # noqa: PLC0415

    class DepartmentOut(ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Department
            fields = ["id", "name", "code", "size"]

    class CompanyOut(ModelSerializer):  # type: ignore[misc]
        departments = DepartmentOut(many=True)

        class Meta:
            model = Company
            fields = ["id", "name", "status", "founded", "motto", "departments"]

    return CompanyOut


def drf() -> dict[str, Contender]:
    from rest_framework.renderers import JSONRenderer  # noqa: PLC0415

    from project.firm.models import Company  # noqa: PLC0415

    rows, serializer = Company.objects.prefetch_related("departments"), declared_for_drf()
    return {"DRF, ModelSerializer": lambda: bytes(JSONRenderer().render(serializer(rows.all(), many=True).data))}


def bolt() -> dict[str, Contender]:
    from typing import Annotated  # noqa: PLC0415

    import msgspec  # noqa: PLC0415
    from django_bolt.serializers import Nested, Serializer  # noqa: PLC0415

    from project.firm.models import Company  # noqa: PLC0415

    columns = {"id": int, "name": str, "code": str, "size": int}
    department: Any = type("DepartmentOut", (Serializer,), {"__annotations__": columns})
    nested = Annotated[list[department], Nested(department, many=True)]
    columns = {"id": int, "name": str, "status": str, "founded": date | None, "motto": str, "departments": nested}
    company: Any = type("CompanyOut", (Serializer,), {"__annotations__": columns})
    rows = Company.objects.prefetch_related("departments")
    return {"django-bolt, Serializer": lambda: msgspec.json.encode([company.from_model(row) for row in rows.all()])}


def contenders() -> dict[str, Contender]:
    found: dict[str, Contender] = {}
    for make in (ours, plain, ninja, drf, bolt):
        try:
            found |= make()
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def measure(chosen: dict[str, Contender], rounds: int) -> dict[str, float]:
    """The CPU time of one call, in microseconds: the 10th percentile of interleaved rounds."""
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, call in chosen.items():
            gc.collect()
            begin = time.process_time()
            call()
            times[name].append(time.process_time() - begin)
    return {name: statistics.quantiles(found, n=10)[0] * 1e6 for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.db == "postgres":
            os.environ["DATABASE_URL"] = stack.enter_context(postgres())
        else:
            os.environ["DATABASE_URL"] = "sqlite://:memory:"
        import django  # noqa: PLC0415

        django.setup()
        fill()
        chosen = contenders()
        answers = {name: json.loads(call()) for name, call in chosen.items()}
        for name, answer in answers.items():
            if answer != answers["ModelSchema, by the plan"]:
                raise SystemExit(f"{name} answers otherwise.")
        found = measure(chosen, options.rounds)
        own = found["ModelSchema, by the plan"]
        for name, cpu in found.items():
            print(f"{name:32}{cpu:10.0f} us {cpu / own:8.2f} x")


if __name__ == "__main__":
    main()
