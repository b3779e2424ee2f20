"""What `mount()` adds to the FastAPI apps that it serves, so that they are at home in Django."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fastapi import FastAPI
from starlette.types import ASGIApp

from djfast_mount.auth.schemes import check_schemes
from djfast_mount.conf import option
from djfast_mount.django_for_api.middleware import Chain, DjangoMiddleware, chosen_middleware
from djfast_mount.django_for_api.view_hooks import call_view_hooks
from djfast_mount.exception_handlers import add_exception_handlers
from djfast_mount.fastpath.route_index import add_route_index, is_indexed
from djfast_mount.fastpath.telemetry import unasked
from djfast_mount.security.djangos_middleware import DjangoSettings, chosen_settings
from djfast_mount.transactions import honour_atomic_requests

__all__ = ["fronts", "prepare"]


def prepare(apps: Collection[object]) -> None:
    """Adds exception handlers and ATOMIC_REQUESTS to each FastAPI among `apps`, and checks who they ask for a user.

    Runs at start-up, once the routes are there. Raises: ConfigurationError.
    """
    for app in apps:
        if isinstance(app, FastAPI):
            add_exception_handlers(app, problem_details=option("problem_details"))
            honour_atomic_requests(app)
            add_route_index(app)
    check_schemes(apps)


def fronts(apps: Mapping[str, ASGIApp], middleware: Sequence[str] | None) -> dict[str, ASGIApp]:
    """Returns, for each prefix, what all calls of its app pass before the app itself. Raises: ConfigurationError.

    Args:
        middleware: The Django middleware around them, as `mount()` takes it.
    """
    chosen, classes = chosen_settings(), chosen_middleware(middleware)

    def front(prefix: str, app: ASGIApp) -> ASGIApp:
        inner = unasked(app, app) if isinstance(app, FastAPI) and is_indexed(app) else app
        if classes is not None:
            inner = DjangoMiddleware(inner, Chain(classes, app))
            if isinstance(app, FastAPI):
                call_view_hooks(app)
        return DjangoSettings(inner, prefix, chosen) if chosen else inner

    return {prefix: front(prefix, app) for prefix, app in apps.items()}
