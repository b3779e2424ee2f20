"""The URLs of the page. In the project's own, above the admin's:

path("admin/mount/", include("djfast_mount.dashboard.urls")),
path("admin/", admin.site.urls),
"""

from __future__ import annotations

from django.apps import apps
from django.urls import path

from djfast_mount.dashboard import leaks, process, views
from djfast_mount.dashboard.figures import listen
from djfast_mount.exceptions import ConfigurationError

__all__ = ["app_name", "urlpatterns"]

for needed in ("djfast_mount", "django.contrib.admin"):
    if not apps.is_installed(needed):
        raise ConfigurationError(
            f"djfast_mount.dashboard.urls is included, and {needed!r} is not in INSTALLED_APPS. Add it."
        )

app_name = "djfast_mount_dashboard"
urlpatterns = [
    path("", views.page, name="page"),
    path("events/", views.events, name="events"),
    path("figures.json", views.figures_as_json, name="figures"),
]

# Whoever includes the page wants the figures from now on, and not from the first look.
listen()
process.watch()
leaks.watch()
