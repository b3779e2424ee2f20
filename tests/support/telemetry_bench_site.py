"""The site whose cost with and without telemetry tests/benchmarks/telemetry.py measures."""

import os

from django.conf import settings

KIND = os.environ.get("TELEMETRY", "off")

settings.ROOT_URLCONF = "telemetry_site"
settings.DJFAST_MOUNT = {
    "off": {},
    "on": {"telemetry": True},
    "without ids": {"telemetry": True, "request_id": None},
    "page": {"telemetry": True},
}[KIND]

from djfast_mount import mount  # noqa: E402
from djfast_mount.dashboard.figures import listen  # noqa: E402

app = mount("/api", "telemetry_site:api")
if KIND == "page":
    listen()
