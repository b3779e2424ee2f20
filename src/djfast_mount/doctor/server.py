"""The server and the proxy before it, as far as packages and the environment tell."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from djfast_mount.doctor.target import Target

__all__ = ["probe_server"]


def probe_server(target: Target) -> Iterator[CheckMessage]:
    """W111 to W114, I111. Reads the environment that it runs in, which is to be the server's."""
    if _installed("uvicorn"):
        yield from _parsers()
    if "*" in (word.strip() for word in os.environ.get("FORWARDED_ALLOW_IPS", "").split(",")):
        yield checks.Warning(
            "FORWARDED_ALLOW_IPS is '*': every client of the port chooses its address by X-Forwarded-For, and by "
            "X-Forwarded-Proto that he came by https.",
            hint="Name the proxy's address, FORWARDED_ALLOW_IPS=10.0.0.2.",
            id="djfast_mount.W112",
        )
    if settings.FORCE_SCRIPT_NAME and os.environ.get("UVICORN_ROOT_PATH"):
        yield checks.Warning(
            f"settings.FORCE_SCRIPT_NAME is {settings.FORCE_SCRIPT_NAME!r} and UVICORN_ROOT_PATH "
            f"{os.environ['UVICORN_ROOT_PATH']!r}: uvicorn puts it before a path that has the prefix already.",
            hint="Keep FORCE_SCRIPT_NAME where the proxy leaves the prefix on, root_path where it takes it off.",
            id="djfast_mount.W113",
        )
    if settings.SESSION_COOKIE_SAMESITE not in ("Lax", "Strict"):
        yield checks.Warning(
            f"settings.SESSION_COOKIE_SAMESITE is {settings.SESSION_COOKIE_SAMESITE!r}: browsers send the session with "
            "requests that other sites make, to the API too.",
            hint="Set it to 'Lax'.",
            id="djfast_mount.W114",
        )


def _parsers() -> Iterator[CheckMessage]:
    if not _installed("httptools"):
        yield checks.Warning(
            "uvicorn has no httptools and parses requests by h11, which takes one with both Content-Length and "
            "Transfer-Encoding, and answers what follows in its body as a second one.",
            hint='Install it: pip install "djfast-mount[server]".',
            id="djfast_mount.W111",
        )
    if sys.platform != "win32" and not _installed("uvloop"):
        yield checks.Info(
            "uvicorn has no uvloop, and asyncio's own event loop is slower.",
            hint='Install it: pip install "djfast-mount[server]".',
            id="djfast_mount.I111",
        )


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
