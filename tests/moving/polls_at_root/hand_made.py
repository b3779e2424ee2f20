"""The join as it is made by hand: Django and its files are mounted in the API."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moving.polls_at_root.settings")
django_app = get_asgi_application()

from fastapi.staticfiles import StaticFiles  # noqa: E402

from moving.polls_at_root.api import api  # noqa: E402

api.mount("/static", StaticFiles(directory=settings.STATIC_ROOT), name="static")
api.mount("/django", django_app)
app = api
