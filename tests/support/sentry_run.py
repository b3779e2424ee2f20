"""Serves requests with Sentry's real client, whose transport collects, and prints what was sent as JSON.

A process of its own: the integrations of Sentry replace methods of Starlette, FastAPI and Django for good.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Annotated, Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

import sentry_sdk
from sentry_sdk.transport import Transport

SENT: list[dict[str, Any]] = []


class Collecting(Transport):
    def capture_envelope(self, envelope: Any) -> None:
        for item in envelope.items:
            event = item.get_event() or item.get_transaction_event()
            if event is not None:
                SENT.append({"type": item.type, **event})


sentry_sdk.init(
    "https://key@sentry.invalid/1",
    transport=Collecting,
    traces_sample_rate=1.0,
    auto_enabling_integrations=sys.argv[1] == "integrations",
    default_integrations=True,
    send_default_pii=False,
)

from django.conf import settings  # noqa: E402

settings.ROOT_URLCONF = "telemetry_site"
settings.DJFAST_MOUNT = {"telemetry": True, "sentry": True, "error_event_id": True}

import django  # noqa: E402

from djfast_mount import mount  # noqa: E402
from djfast_mount.auth import get_request  # noqa: E402

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from fastapi import Depends  # noqa: E402

import telemetry_site  # noqa: E402
from calls import call, http_scope  # noqa: E402
from djfast_mount.telemetry import outgoing_headers  # noqa: E402

call_command("migrate", verbosity=0)
known = [User.objects.create_user(f"user{number}", f"user{number}@example.org") for number in range(6)]
api = telemetry_site.make_api()


def log_in(request: Any) -> None:
    """As the middleware of the site does it, for the user whom the caller names."""
    request._cached_user = request.user = User.objects.get(pk=request.headers["x-user"])


@api.get("/fails/{number}")
def fails(number: int, request: Annotated[Any, Depends(get_request)]) -> None:
    log_in(request)
    raise ValueError(f"the API's {number}")


@api.get("/outgoing")
async def outgoing() -> dict[str, str]:
    return outgoing_headers()


def failing_view(request: HttpRequest, number: int) -> HttpResponse:
    log_in(request)
    raise ValueError(f"the site's {number}")


telemetry_site.urlpatterns.append(telemetry_site.path("fails/<int:number>/", failing_view))
root = mount("/api", api)


def request(path: str, **headers: str) -> Any:
    return call(root, http_scope(path, headers=headers))


async def main() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, path in {"api": "/api/companies/7", "site": "/plain/", "none": "/nothing/"}.items():
        SENT.clear()
        await request(path)
        found[name] = list(SENT)
    SENT.clear()
    failures = await asyncio.gather(
        *(
            request(
                f"{prefix}/fails/{number}{end}",
                **{"x-user": str(known[number].pk), "x-request-id": f"request-{number}"},
            )
            for number in range(6)
            for prefix, end in (("/api", ""), ("", "/"))
        )
    )
    found["failures"] = list(SENT)
    found["bodies"] = [answer.text for answer in failures]
    SENT.clear()
    trace = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"
    found["outgoing"] = (await request("/api/outgoing", **{"sentry-trace": trace})).json()
    found["continued"] = list(SENT)
    SENT.clear()
    await request("/api/sync/1")
    found["statements"] = list(SENT)
    return found


sys.stdout.write(json.dumps(asyncio.run(main()), default=str))
