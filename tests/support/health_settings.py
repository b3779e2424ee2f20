"""The test project with two workers, a second database that does not answer if asked for, and a drain."""

import os

from project.settings import *  # noqa: F403
from project.settings import DATABASES, MIDDLEWARE

DJFAST_MOUNT = {
    "threads": int(os.environ.get("TEST_THREADS", "8")),
    "ready_timeout": float(os.environ.get("TEST_READY_TIMEOUT", "2")),
    "drain": float(os.environ.get("TEST_DRAIN", "0")),
    "wait_timeout": 30.0,
    "docs_access": "public",
}
# The probes of a container come by plain HTTP. So do the calls of these tests.
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = ["^(pre/)?api/"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *MIDDLEWARE]
if port := os.environ.get("TEST_SILENT_PORT"):
    # Something takes the connection and says nothing, as a database does whose host hangs.
    DATABASES["silent"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "silent",
        "USER": "silent",
        "HOST": "127.0.0.1",
        "PORT": port,
        "OPTIONS": {"connect_timeout": 10},
    }
