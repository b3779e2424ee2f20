"""The static files of the test project under a real server: `uvicorn static_app:app`."""

import os

import django

from calls import not_found

django.setup(set_prefix=False)

from djfast_mount.staticfiles.app import StaticFiles  # noqa: E402  (needs Django's settings)

app = StaticFiles(not_found, memory=int(os.environ.get("TEST_STATIC_MEMORY", "33554432")))
