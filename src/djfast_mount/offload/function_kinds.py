"""What a function is that somebody sends to a thread."""

from __future__ import annotations

import functools
import io
import tempfile
from collections.abc import Callable
from typing import Any

from starlette.staticfiles import StaticFiles

__all__ = ["is_file_access", "name_of", "owner_of"]

_FILES = (tempfile.SpooledTemporaryFile, io.IOBase, StaticFiles)


def name_of(function: Callable[..., Any]) -> str:
    """Returns the name of `function`, or of what it is a partial of."""
    if isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", "")


def is_file_access(function: Callable[..., Any]) -> bool:
    """Whether `function` is file access of UploadFile or of a static file app, which is not the request thread's."""
    if isinstance(function, functools.partial):
        function = function.func
    return isinstance(getattr(function, "__self__", None), _FILES)


def owner_of(method: Any) -> Any:
    """Returns whose method `method` is."""
    return getattr(method.func if isinstance(method, functools.partial) else method, "__self__", None)
