"""The options of ``settings.DJFAST_MOUNT`` as a type: editors complete its keys, type checkers refuse what is none.

from djfast_mount.options import Options

DJFAST_MOUNT: Options = {"threads": 8}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    # A settings module imports this one: nothing is to be loaded with it.
    from starlette.middleware import Middleware
    from starlette.types import ASGIApp, Lifespan

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """Every option. What each means is told in docs/settings.md, and for arguments of `mount()` in its docstring."""

    prefix: str | Mapping[str, ASGIApp | str]
    app: ASGIApp | str | None
    django: bool
    django_prefix: str
    static: bool
    websocket_app: ASGIApp | str | None
    middleware: Sequence[Middleware]
    lifespan: Lifespan[Any] | None
    debug: bool | None
    host_check: bool
    max_body_size: int | None
    threads: int | None
    wait_timeout: float
    grace: float | None
    docs_access: Literal["auto", "public", "staff"] | None
    fallthrough: bool
    django_handler: Literal["one_hop", "django"]
    fast_path: bool
    django_middleware_for_api: Sequence[str] | Literal["session", "all"] | None
    static_memory: int
    send_timeout: float
    warn_after: float
    lend_idle: bool
    authentication: Sequence[str]
    problem_details: bool
    error_responses: bool
    django_settings_for_api: bool | Collection[str]
    health_path: str | None
    ready_path: str | None
    ready_timeout: float
    drain: float
    tune_gc: bool
