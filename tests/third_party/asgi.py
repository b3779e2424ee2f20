"""Both halves."""

import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "third_party.settings")
app = mount(
    "/api", "third_party.api:api", django_middleware_for_api=["simple_history.middleware.HistoryRequestMiddleware"]
)
