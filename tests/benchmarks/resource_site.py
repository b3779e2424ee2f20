"""The project of resource_lists.py, set up when this is imported. DATABASE_URL names its database."""

from __future__ import annotations

import os

import django
from django.conf import settings

os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
os.environ["TEST_CONN_MAX_AGE"] = "600"
# DRF writes moments in the current time zone, and the others in UTC.
settings.MIDDLEWARE, settings.STATIC_ROOT, settings.TIME_ZONE = [], None, "UTC"
django.setup()
