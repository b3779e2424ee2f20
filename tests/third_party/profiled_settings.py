"""The test project, with two profilers for both halves."""

from project.settings import *  # noqa: F403

DEBUG = True
ROOT_URLCONF = "third_party.profiled_urls"
PROFILERS = ["debug_toolbar.middleware.DebugToolbarMiddleware", "silk.middleware.SilkyMiddleware"]
INSTALLED_APPS = [*INSTALLED_APPS, "debug_toolbar", "silk"]  # noqa: F405
MIDDLEWARE = [*PROFILERS, *MIDDLEWARE]  # noqa: F405
INTERNAL_IPS = ["127.0.0.1"]
DJFAST_MOUNT = {"django_middleware_for_api": PROFILERS}
