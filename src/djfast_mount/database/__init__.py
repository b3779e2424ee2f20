"""Django's database connections: in a request, and outside of requests.

`keep_thread` and `request_signalling` are public. They are imported when they are asked for, since every module of this
package imports the package first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from djfast_mount.database.kept_thread import keep_thread as keep_thread
    from djfast_mount.database.outside_requests import request_signalling as request_signalling

__all__ = ["keep_thread", "request_signalling"]

_MODULES = {"keep_thread": "kept_thread", "request_signalling": "outside_requests"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
