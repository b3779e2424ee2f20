"""The CSRF check of cookies that FastAPI's own schemes read: `APIKeyCookie` has none.

Only the router imports this module, and hands `cookie_check` down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.dependencies.utils import get_dependant
from fastapi.security import APIKeyCookie
from starlette.requests import HTTPConnection

from djfast_mount.apis.dependencies import called_by
from djfast_mount.auth.schemes import check_cookie

__all__ = ["cookie_check"]


def cookie_check(dependency: Callable[..., Any]) -> Callable[..., Any] | None:
    """Returns a dependency that runs the CSRF check where the client sends a cookie that `dependency` reads by
    `APIKeyCookie`, at any depth; None where it reads none."""
    calls = [dependency, *called_by(get_dependant(path="/", call=dependency))]
    cookies = frozenset(each.model.name for each in calls if isinstance(each, APIKeyCookie))
    return _CookieCheck(cookies) if cookies else None


class _CookieCheck:
    def __init__(self, cookies: frozenset[str]) -> None:
        self._cookies = cookies

    async def __call__(self, connection: HTTPConnection) -> None:
        if not self._cookies.isdisjoint(connection.cookies):
            await check_cookie(connection)
