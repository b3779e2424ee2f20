"""What is where, for whoever has just started the server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.conf import settings
from django.urls import NoReverseMatch, reverse
from fastapi import FastAPI
from starlette.routing import Mount

from djfast_mount.asgi import MountedApplication

__all__ = ["places"]


def places(root: MountedApplication | None) -> Iterator[tuple[str, str]]:
    """Yields a name and a path for the site, the admin, each mounted app and its docs. Imports the URLconf."""
    outer = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
    if root is None or root.serves_django:
        yield "site", f"{outer}/"
        with contextlib.suppress(NoReverseMatch):
            yield "admin", outer + "/" + reverse("admin:index").removeprefix(outer).lstrip("/")
    for route in root.routes if root else ():
        if isinstance(route, Mount):
            yield "API", outer + route.path
            if isinstance(route.app, FastAPI) and route.app.docs_url:
                yield "API docs", outer + route.path + route.app.docs_url
