"""The join as it is made by hand: Django, its files and the front end are mounted in the API."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moving.spa_at_root.settings")
django_app = get_asgi_application()

from fastapi.staticfiles import StaticFiles  # noqa: E402

from moving.spa_at_root.api import api  # noqa: E402
from moving.spa_at_root.spa import DIST, SPA  # noqa: E402

api.mount("/static", StaticFiles(directory=settings.STATIC_ROOT), name="static")
api.mount("/d", django_app)
api.mount("/", SPA(directory=DIST, html=True))
app = api
