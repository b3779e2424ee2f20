"""The app within what is wrapped around it."""

from __future__ import annotations

import functools
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from djfast_mount.routing.inner_app import unwrapped


class Hidden:
    """Keeps its app where no middleware of Starlette's keeps one."""

    def __init__(self, app: Any) -> None:
        self.inner = app


def given(app: Any) -> None:
    """Stands for middleware that is a function."""


def test_unwrapped() -> None:
    """Middleware as Starlette writes it, and a partial, are taken off; an unknown app stays itself."""
    api = FastAPI()
    assert unwrapped(CORSMiddleware(CORSMiddleware(api))) is api
    assert unwrapped(functools.partial(given, api)) is api
    hidden = Hidden(api)
    assert unwrapped(hidden) is hidden
