"""What `mount()` adds to the FastAPI apps that it serves, so that they are at home in Django."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI

from djfast_mount.conf import option
from djfast_mount.exception_handlers import add_exception_handlers
from djfast_mount.schemes import check_schemes
from djfast_mount.transactions import honour_atomic_requests

__all__ = ["prepare"]


def prepare(apps: Collection[object]) -> None:
    """Adds exception handlers and ATOMIC_REQUESTS to each FastAPI among `apps`, and checks who they ask for a user.

    Runs at start-up, once the routes are there. Raises: ConfigurationError.
    """
    for app in apps:
        if isinstance(app, FastAPI):
            add_exception_handlers(app, problem_details=option("problem_details"))
            honour_atomic_requests(app)
    check_schemes(apps)
