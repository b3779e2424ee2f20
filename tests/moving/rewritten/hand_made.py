"""The join as it is made by hand."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moving.rewritten.settings")
django_app = get_asgi_application()

from fastapi.staticfiles import StaticFiles  # noqa: E402

from moving.rewritten.api import api  # noqa: E402
from moving.rewritten.middleware import CloseConnections, NextFiles  # noqa: E402

api.mount("/server", django_app, name="server")
api.mount("/static", StaticFiles(directory=settings.STATIC_ROOT), name="static")
api.add_middleware(CloseConnections)
api.add_middleware(NextFiles)
app = api
