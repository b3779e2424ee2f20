"""Django, set up and served on the request thread."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, cast

import django
from django.apps import apps
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from starlette.types import ASGIApp

from djfast_mount.database.connections import note_started
from djfast_mount.django_half.fresh_templates import keep_fresh
from djfast_mount.django_half.handler import DjangoHandler, DjangosHandler, undisturbed
from djfast_mount.django_half.private_names import tell_what_is_gone
from djfast_mount.telemetry.layers import Unobserved

__all__ = ["serve_django", "set_up_django"]


def set_up_django() -> None:
    """Sets Django up, once. Says what a Django that is not known costs."""
    if not apps.ready:
        # As django.core.asgi.get_asgi_application() does: the script prefix is known with the request only.
        django.setup(set_prefix=False)
    tell_what_is_gone()
    if settings.DEBUG:
        keep_fresh()


def serve_django(layers: Unobserved, kind: Literal["one_hop", "django"]) -> ASGIApp:
    """Returns Django's half, for http scopes.

    Args:
        kind: Whose handler, as `mount(django_handler=...)` takes it.
    """
    http = layers.threads.http
    if kind == "one_hop":
        served = partial(http, cast(ASGIApp, _noted(DjangoHandler(), layers)), sender=ASGIHandler)
    else:
        note_started()
        served = partial(http, undisturbed(cast(ASGIApp, _noted(DjangosHandler(), layers))), announces=False)
    return layers.led_to(served, "django")


def _noted(handler: ASGIHandler, layers: Unobserved) -> ASGIHandler:
    """Returns `handler`, which tells of each request that it makes, if anybody is to be told."""
    note = layers.note_request
    if note is None:
        return handler
    create = handler.create_request

    def create_request(*args: Any) -> tuple[Any, Any]:
        request, refusal = create(*args)
        if request is not None:
            note(request)
        return request, refusal

    vars(handler)["create_request"] = create_request
    return handler
