"""What a list of models costs from request to answer: `python tests/benchmarks/schemas_served.py [--db postgres]`.

The contenders of schemas.py, each as the ASGI application that a user would serve, called in this process without a
server: the CPU time is that of all threads. Django's half of the peers has no middleware. Rounds are interleaved, and
in each a contender answers ten calls, one after another, on one loop, as a server that runs has it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "src")]
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"

from benchmarks import schemas  # noqa: E402
from harness import postgres  # noqa: E402

PATH = "/api/companies"
CALLS = 10


async def call(app: Any, path: str = PATH, query: str = "") -> bytes:
    """The body of one answer. Raises RuntimeError where it is not 200."""
    body, status, sent = bytearray(), 0, iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        for message in sent:
            return message
        return await asyncio.Future()

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        body.extend(message.get("body", b""))

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    await app(
        {**scope, "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode()}
        | {"headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}},
        receive,
        send,
    )
    if status != 200:
        raise RuntimeError(f"{status}: {bytes(body[:200])!r}")
    return bytes(body)


def ours() -> dict[str, Any]:
    from fastapi import FastAPI  # noqa: PLC0415

    from djfast_mount import mount  # noqa: PLC0415
    from project.firm.models import Company  # noqa: PLC0415

    by_plan, by_database, kept = schemas.declared_by_us()
    routes: dict[str, tuple[Any, Callable[[], Any]]] = {
        "mount(), read()": (by_plan, lambda: by_plan.read(Company.objects.all())),
        "mount(), a queryset": (by_plan, Company.objects.all),
        "mount(), the database's JSON": (by_database, Company.objects.all),
        "mount(), with keep_sql": (kept, Company.objects.all),
    }
    apps: dict[str, Any] = {}
    for name, (schema, endpoint) in routes.items():
        api = FastAPI()
        api.get("/companies", response_model=list[schema])(endpoint)  # type: ignore[valid-type]
        apps[name] = mount("/api", api)
    return apps


def plain() -> dict[str, Any]:
    from fastapi import FastAPI  # noqa: PLC0415

    from project.firm.models import Company  # noqa: PLC0415

    schema, api = schemas.declared_plainly(), FastAPI()
    rows = Company.objects.prefetch_related("departments")
    api.get(PATH, response_model=list[schema])(lambda: list(rows.all()))  # type: ignore[valid-type]
    return {"FastAPI alone, from_attributes": api}


def of_django(view: Any) -> Any:
    """An application of Django's that has one route."""
    from django.core.handlers.asgi import ASGIHandler  # noqa: PLC0415

    urls = ModuleType(f"urls_{id(view)}")
    urls.urlpatterns = [view]  # type: ignore[attr-defined]
    sys.modules[urls.__name__] = urls

    class Handler(ASGIHandler):
        def create_request(self, scope: Any, body_file: Any) -> Any:
            request, error = super().create_request(scope, body_file)
            if request is not None:
                request.urlconf = urls.__name__
            return request, error

    return Handler()


def ninja() -> dict[str, Any]:
    from django.urls import path  # noqa: PLC0415
    from ninja import NinjaAPI  # noqa: PLC0415

    from project.firm.models import Company  # noqa: PLC0415

    schema, api = schemas.declared_for_ninja(), NinjaAPI()
    rows = Company.objects.prefetch_related("departments")
    api.get("/companies", response=list[schema])(lambda request: rows.all())  # type: ignore[valid-type]
    return {"django-ninja, ModelSchema": of_django(path("api/", api.urls))}


def drf() -> dict[str, Any]:
    from django.urls import path  # noqa: PLC0415
    from rest_framework.generics import ListAPIView  # noqa: PLC0415
    from rest_framework.renderers import JSONRenderer  # noqa: PLC0415

    from project.firm.models import Company  # noqa: PLC0415

    rows = Company.objects.prefetch_related("departments")
    options = {"authentication_classes": [], "permission_classes": [], "renderer_classes": [JSONRenderer]}
    view = ListAPIView.as_view(queryset=rows, serializer_class=schemas.declared_for_drf(), **options)
    return {"DRF, ModelSerializer": of_django(path("api/companies", view))}


def contenders() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for make in (ours, plain, ninja, drf):
        try:
            found |= make()
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def measure(apps: dict[str, Any], rounds: int, run: Callable[[Any], bytes]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            gc.collect()
            begin = time.process_time()
            run(app)
            times[name].append((time.process_time() - begin) / CALLS)
    return {name: statistics.quantiles(found, n=10)[0] * 1e6 for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.db == "postgres":
            os.environ["DATABASE_URL"] = stack.enter_context(postgres())
        os.environ["TEST_CONN_MAX_AGE"] = "600"
        import django  # noqa: PLC0415
        from django.conf import settings  # noqa: PLC0415

        settings.MIDDLEWARE, settings.STATIC_ROOT = [], None
        django.setup()
        schemas.fill()
        apps, runner = contenders(), stack.enter_context(asyncio.Runner())

        async def calls(app: Any) -> bytes:
            return [await call(app) for _ in range(CALLS)][-1]

        def run(app: Any) -> bytes:
            return runner.run(calls(app))

        answers = {name: json.loads(run(app)) for name, app in apps.items()}
        for name, answer in answers.items():
            if answer != answers["mount(), read()"]:
                raise SystemExit(f"{name} answers otherwise.")
        found = measure(apps, options.rounds, run)
        own = found["mount(), read()"]
        for name, cpu in found.items():
            print(f"{name:32}{cpu:10.0f} us {cpu / own:8.2f} x")


if __name__ == "__main__":
    main()
