"""What a function is that somebody sends to a thread."""

from __future__ import annotations

import enum
import functools
import io
import tempfile
from collections.abc import Callable
from typing import Any

from starlette.staticfiles import StaticFiles

from djfast_mount.offload.private_names import next_item

__all__ = ["Kind", "kind_of", "owner_of"]

_FILES = (tempfile.SpooledTemporaryFile, io.IOBase, StaticFiles)


class Kind(enum.Enum):
    """The kinds of calls that Starlette and FastAPI send to a thread."""

    FILE_ACCESS = enum.auto()  # of UploadFile or of a static file app: it is not the request thread's
    DRAWING = enum.auto()  # the next item of a sync iterator
    ENTERING = enum.auto()  # a context manager: a dependency with `yield`
    LEAVING = enum.auto()
    CALL = enum.auto()  # every other function


_BY_NAME = {"__enter__": Kind.ENTERING, "__exit__": Kind.LEAVING}


def kind_of(function: Callable[..., Any]) -> Kind:
    """Returns the kind of a call of `function`."""
    if function is next_item:
        return Kind.DRAWING
    if isinstance(function, functools.partial):
        function = function.func
    if isinstance(getattr(function, "__self__", None), _FILES):
        return Kind.FILE_ACCESS
    return _BY_NAME.get(getattr(function, "__name__", ""), Kind.CALL)


def owner_of(method: Any) -> Any:
    """Returns whose method `method` is."""
    return getattr(method.func if isinstance(method, functools.partial) else method, "__self__", None)
