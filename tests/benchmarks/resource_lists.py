"""What a list of a resource costs on one database, DATABASE_URL: `python -m benchmarks.resource_lists`.

Of so many companies, the first 100 are listed with 5 departments each: 600 rows. The rounds are interleaved, in the
opposite order every other round. What counts is the CPU time of this process, of all its threads.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from datetime import UTC, date, datetime

import benchmarks.resource_site  # noqa: F401  (sets Django up, which the imports below ask for)

# isort: split
from django.core.management import call_command

from benchmarks.resource_contenders import CALLS, FILTERS, Contender, by_drf, by_ninja, ours, parameters
from project.companies.models import Company, CompanyDepartment

DEPARTMENTS = 5
SHOWN = 100


def fill(companies: int) -> None:
    call_command("migrate", verbosity=0, run_syncdb=True)
    rows = [
        Company(name=f"Company {n:04}", slug=f"c{n}", founded=date(2000, 1, 1), size=n, rating="1.50")
        for n in range(companies)
    ]
    made = Company.objects.bulk_create(rows)
    # django-ninja writes milliseconds, and the others microseconds.
    Company.objects.update(created=datetime(2025, 11, 1, 12, tzinfo=UTC))
    CompanyDepartment.objects.bulk_create(
        CompanyDepartment(company=company, name=f"Department {n}", budget="1000.00", size=n)
        for company in made
        for n in range(DEPARTMENTS)
    )


def check(contenders: list[Contender]) -> None:
    """Raises SystemExit where one answers otherwise than the first."""
    expected = None
    for contender in contenders:
        answer = json.loads(contender.run(contender.query))
        items = answer if isinstance(answer, list) else answer.get("items") or answer.get("results")
        expected = expected or items
        if items != expected or len(items) != SHOWN or len(items[-1]["departments"]) != DEPARTMENTS:
            raise SystemExit(f"{contender.name} answers otherwise: {items[:1]} in the place of {expected[:1]}")


def measure(contenders: list[Contender], rounds: int) -> list[list[float]]:
    """The microseconds of CPU time of a request in each round, for each contender."""
    times: list[list[float]] = [[] for _ in contenders]
    order = list(enumerate(contenders))
    gc.collect()
    gc.freeze()  # or each would pay for what the packages of the others hold, whenever all is looked through
    for number in range(rounds):
        for place, contender in order if number % 2 else reversed(order):
            gc.collect()
            begin = time.process_time()
            contender.run(contender.query)
            times[place].append((time.process_time() - begin) / CALLS * 1e6)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--companies", type=int, default=SHOWN)
    options = parser.parse_args()
    fill(options.companies)
    with asyncio.Runner() as runner:
        contenders = [each for make in (ours, by_ninja, by_drf) for each in make(runner)]
        check(contenders)
        times = measure(contenders, options.rounds)
    found = [
        {"name": each.name, "filtered": bool(each.query), "us": us} for each, us in zip(contenders, times, strict=True)
    ]
    print(json.dumps({"parameters": parameters(), "filters": FILTERS, "contenders": found}))


if __name__ == "__main__":
    main()
