"""The Django app: ``"djfast_mount"`` in INSTALLED_APPS adds system checks and management commands."""

from __future__ import annotations

from django.apps import AppConfig

from djfast_mount.checks.settings import register_checks
from djfast_mount.url_names import names as url_names

__all__ = ["DjfastMountConfig"]


class DjfastMountConfig(AppConfig):
    """List it above ``django.contrib.staticfiles``, so that `manage.py runserver` is the one that serves both halves.

    `mount()` works without it.
    """

    name = "djfast_mount"
    verbose_name = "djfast_mount"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Runs in `django.setup()`. Imports neither the API nor FastAPI."""
        register_checks()
        url_names.install()
