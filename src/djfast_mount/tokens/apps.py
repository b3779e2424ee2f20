"""The Django app of API tokens."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["TokensConfig"]


class TokensConfig(AppConfig):
    """List ``"djfast_mount.tokens"`` in INSTALLED_APPS, and run `migrate`."""

    name = "djfast_mount.tokens"
    label = "djfast_mount_tokens"
    verbose_name = "API tokens"
    default_auto_field = "django.db.models.BigAutoField"
