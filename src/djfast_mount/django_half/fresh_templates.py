"""Templates that are read anew in development, whatever reloads the server.

Django keeps compiled templates, in development too, and has its own reloader tell when to forget them. Under another's,
`uvicorn --reload` for one, nobody would.
"""

from __future__ import annotations

import os

from django.core.signals import request_started
from django.template.autoreload import reset_loaders
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

__all__ = ["keep_fresh"]


def keep_fresh() -> None:
    """Has every request find the templates as they are on the disk, unless Django's reloader watches them."""
    if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
        request_started.connect(_forget, dispatch_uid="djfast_mount.django_half.fresh_templates")


def _forget(**_: object) -> None:
    reset_loaders()
