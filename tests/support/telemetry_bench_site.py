"""The site whose cost with and without telemetry tests/benchmarks/telemetry.py measures."""

import os

from django.conf import settings

settings.ROOT_URLCONF = "telemetry_site"
settings.DJFAST_MOUNT = {
    "off": {},
    "on": {"telemetry": True},
    "bare": {"telemetry": True, "request_id": None},
}[os.environ.get("TELEMETRY", "off")]

from djfast_mount import mount  # noqa: E402

app = mount("/api", "telemetry_site:api")
