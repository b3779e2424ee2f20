"""Django, set up and served on the request thread."""

from __future__ import annotations

from functools import partial
from typing import Literal, cast

import django
from django.apps import apps
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from starlette.types import ASGIApp

from djfast_mount.database.connections import note_started
from djfast_mount.django_half.fresh_templates import keep_fresh
from djfast_mount.django_half.handler import DjangoHandler, DjangosHandler, undisturbed
from djfast_mount.django_half.private_names import tell_what_is_gone
from djfast_mount.request_thread.request import RequestThreads

__all__ = ["serve_django", "set_up_django"]


def set_up_django() -> None:
    """Sets Django up, once. Says what a Django that is not known costs."""
    if not apps.ready:
        # As django.core.asgi.get_asgi_application() does: the script prefix is known with the request only.
        django.setup(set_prefix=False)
    tell_what_is_gone()
    if settings.DEBUG:
        keep_fresh()


def serve_django(threads: RequestThreads, kind: Literal["one_hop", "django"]) -> ASGIApp:
    """Returns Django's half, for http scopes.

    Args:
        kind: Whose handler, as `mount(django_handler=...)` takes it.
    """
    if kind == "one_hop":
        return partial(threads.http, cast(ASGIApp, DjangoHandler()), sender=ASGIHandler)
    note_started()
    return partial(threads.http, undisturbed(cast(ASGIApp, DjangosHandler())), announces=False)
