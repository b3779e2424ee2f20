"""Django's URLconf, loaded at the start: what it includes may listen to telemetry, from the first request on."""

from __future__ import annotations

import logging

from asgiref.sync import sync_to_async
from django.conf import settings
from django.urls import get_resolver
from starlette.types import Receive, Scope, Send

__all__ = ["lifespan"]

logger = logging.getLogger("djfast_mount.lifespan")


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: loads the URLconf on a thread of the pool. One that cannot be loaded is logged, and met by requests."""
    await receive()
    await sync_to_async(_load)()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def _load() -> None:
    try:
        _ = get_resolver().url_patterns
    except Exception:
        logger.exception("settings.ROOT_URLCONF, %r, cannot be loaded.", getattr(settings, "ROOT_URLCONF", None))
