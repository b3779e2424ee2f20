"""The URLs of the page. In the project's own, above the admin's:

path("admin/mount/", include("djfast_mount.dashboard.urls")),
path("admin/", admin.site.urls),
"""

from __future__ import annotations

import os

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.urls import path

from djfast_mount.api_docs.admin_index import link_docs
from djfast_mount.dashboard import leaks, process, views
from djfast_mount.dashboard.doctor import doctor
from djfast_mount.dashboard.figures import listen
from djfast_mount.doctor.probes import QUIET_PROBES, findings
from djfast_mount.doctor.target import Target
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.root_interface import Root

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

link_docs()
# A project that includes the page wants the figures from now on, and not from the first look.
listen()
process.watch()
leaks.watch()


def _findings(root: Root) -> list[CheckMessage]:
    target = Target(
        root=root,
        workers=int(os.environ.get("WEB_CONCURRENCY") or 1),
        instances=1,
        calls_endpoints=False,
        production=not settings.DEBUG,
    )
    return findings(target, QUIET_PROBES)


doctor.findings = _findings
