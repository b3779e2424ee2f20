"""The test project with telemetry and the page in the admin, under a strict Content Security Policy."""

import os

import django

from project.settings import *  # noqa: F403

ASGI_APPLICATION = "dashboard_site:app"
DJFAST_MOUNT = {
    "telemetry": True,
    "threads": int(os.environ.get("TEST_THREADS", "8")),
    "wait_timeout": 30.0,
    "django_prefix": os.environ.get("TEST_DJANGO_PREFIX", ""),
}
if django.VERSION >= (6,):
    SECURE_CSP = {"default-src": ["'self'"]}
    MIDDLEWARE.append("django.middleware.csp.ContentSecurityPolicyMiddleware")  # noqa: F405
else:
    MIDDLEWARE.append("strict_policy.strict_policy")  # noqa: F405
