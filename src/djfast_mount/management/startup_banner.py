"""What is where: for the banner of a server that has just been started."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

from django.conf import settings
from django.urls import NoReverseMatch, reverse, set_script_prefix
from starlette.routing import Mount
from starlette.types import Scope

from djfast_mount.apis.tree import fastapis_in
from djfast_mount.routing.fallthrough import takes
from djfast_mount.routing.placement import outer_of
from djfast_mount.routing.root_interface import Root

__all__ = ["places"]

_ROOT: Scope = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []}


def places(root: Root | None) -> Iterator[tuple[str, str]]:
    """Yields a name and a path for the site, the admin, each mounted app and its docs. Imports the URLconf.

    An app that has nothing at its root is left out: its URL would be answered with 404.
    """
    django_prefix = "" if root is None else root.django_prefix
    outer = outer_of(settings.FORCE_SCRIPT_NAME or "", django_prefix)
    if root is None or root.serves_django:
        yield "site", f"{outer}{django_prefix}/"
        # A project without the admin.
        with contextlib.suppress(NoReverseMatch):
            yield "admin", contextvars.copy_context().run(_admin, f"{outer}{django_prefix}/")
    for route in root.routes if root else ():
        if isinstance(route, Mount):
            if takes(route.app, _ROOT):
                yield "API", outer + (route.path or "/")
            found = (found for found in fastapis_in(route.app, route.path) if not found.above)
            yield from (("API docs", outer + path + api.docs_url) for path, api, _ in found if api.docs_url)


def _admin(script_prefix: str) -> str:
    # In a context of its own: a command has no request that would tell the prefix.
    set_script_prefix(script_prefix)
    return reverse("admin:index")
