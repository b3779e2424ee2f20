"""Django, set up and served on the request thread."""

from __future__ import annotations

import logging
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
from djfast_mount.django_half.private_names import differing_method, tell_what_is_gone

__all__ = ["make_handler", "set_up_django"]

logger = logging.getLogger("djfast_mount")


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

    With a Django whose handler is another than is known here, that is Django's own handler, whatever the kind.

    Args:
        kind: Whose handler, as `mount(django_handler=...)` takes it.
        note: Called with each request that it makes, if anybody is to be told.
    """
    if kind == "one_hop" and _is_known():
        return cast(ASGIApp, _noted(DjangoHandler(), note)), {"sender": ASGIHandler}
    note_started()
    djangos = DjangosHandler()
    _noted(djangos.handler, note)
    return undisturbed(djangos), {"announces": False}


def _is_known() -> bool:
    """Whether Django's handler has what DjangoHandler calls. Logs what it has not."""
    name = differing_method()
    if name is not None:
        logger.warning(
            "Django %s has no %s() that djfast_mount can call. Django's own handler serves, which takes longer. "
            "Install a newer djfast_mount.",
            django.__version__,
            name,
        )
    return name is None


def _noted(handler: ASGIHandler, note: Callable[[Any], None] | None) -> ASGIHandler:
    if note is None:
        return handler
    create = handler.create_request

    def create_request(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        request, refusal = create(*args, **kwargs)
        if request is not None:
            note(request)
        return request, refusal

    vars(handler)["create_request"] = create_request
    return handler
