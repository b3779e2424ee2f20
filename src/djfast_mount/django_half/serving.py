"""Django, set up and served on the request thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

__all__ = ["make_handler", "set_up_django"]


def set_up_django() -> None:
    """Sets Django up, once. Says what a Django that is not known costs."""
    if not apps.ready:
        # As django.core.asgi.get_asgi_application() does: the script prefix is known with the request only.
        django.setup(set_prefix=False)
    tell_what_is_gone()
    if settings.DEBUG:
        keep_fresh()


def make_handler(
    kind: Literal["one_hop", "django"], note: Callable[[Any], None] | None
) -> tuple[ASGIApp, Mapping[str, Any]]:
    """Returns what serves Django's half, for http scopes, and how RequestThreads.http() is to run it.

    Args:
        kind: Whose handler, as `mount(django_handler=...)` takes it.
        note: Called with each request that it makes, if anybody is to be told.
    """
    if kind == "one_hop":
        return cast(ASGIApp, _noted(DjangoHandler(), note)), {"sender": ASGIHandler}
    note_started()
    djangos = DjangosHandler()
    _noted(djangos.handler, note)
    return undisturbed(djangos), {"announces": False}


def _noted(handler: ASGIHandler, note: Callable[[Any], None] | None) -> ASGIHandler:
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
