"""The names of other packages that are not public and without which a request has no thread of its own.

    asgiref.sync            SyncToAsync.thread_sensitive_context, .context_to_thread_executor, .threadlocal,
                            .single_thread_executor; AsyncToSync.executors, its _storage and the _data in that, a
                            ContextVar; _restore_context
    asgiref.local           _Storage with its thread_id and data; _rehome
    anyio                   _core._eventloop.threadlocals, .set_current_async_library;
                            _backends._asyncio.AsyncIOBackend, ._task_states
    asyncio                 _set_running_loop
    starlette.concurrency   the global ``anyio``, by which run_in_threadpool and iterate_in_threadpool find it; _next,
                            _StopIteration
    fastapi.concurrency     the global ``anyio``, by which contextmanager_in_threadpool finds it

Without one of them, or where one takes other arguments, sync code would run on threads whose connections nobody closes,
and in a test outside of its transaction. So the start is refused, with a MountError that says what has moved. Each name
has a canary test.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from importlib import metadata
from types import FunctionType
from typing import TYPE_CHECKING, Any

import fastapi.concurrency
import starlette.concurrency

from djfast_mount.exceptions import MountError

if TYPE_CHECKING:
    from anyio._backends._asyncio import AsyncIOBackend
    from asgiref.local import _Storage as Storage

__all__ = [
    "AsyncIOBackend",
    "StopDrawing",
    "Storage",
    "check_doors",
    "executors",
    "next_item",
    "rehome",
    "restore_context",
    "set_current_async_library",
    "set_running_loop",
    "task_states",
    "threadlocals",
]

_DOORS = (
    (starlette.concurrency, ("run_in_threadpool", "iterate_in_threadpool")),
    (fastapi.concurrency, ("contextmanager_in_threadpool",)),
)


def _needed(module: str, path: str, takes: int | None = None) -> Any:
    """Returns what `path`, a dotted name, is in `module`. Raises MountError.

    Args:
        takes: How many arguments it is called with. None: it is not called.
    """
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise _refusal(module, path) from error
    if takes is not None and not _can_be_called(found, takes):
        raise _refusal(module, f"{path} that takes {takes} argument{'s' if takes > 1 else ''}")
    return found


def _can_be_called(function: Any, arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    return True


def _refusal(module: str, path: str) -> MountError:
    package = module.partition(".")[0]
    version = "" if package == "asyncio" else f" {metadata.version(package)}"
    return MountError(
        f"{package}{version} has no {module}.{path}, without which a request has no thread of its own. Install a "
        f"version of {package} that djfast_mount is tested with, or a newer djfast_mount."
    )


def check_doors() -> None:
    """Raises MountError where Starlette or FastAPI reach their threads by another name than ``anyio``."""
    for module, names in _DOORS:
        if "anyio" not in vars(module):
            raise _refusal(module.__name__, "anyio")
        for name in names:
            function = inspect.unwrap(_needed(module.__name__, name))
            # What somebody has put in its place may call it, and is not for us to judge.
            is_own = isinstance(function, FunctionType) and function.__globals__ is vars(module)
            if is_own and "anyio" not in function.__code__.co_names:
                raise _refusal(module.__name__, f"{name} that looks up anyio")


for _path in ("thread_sensitive_context", "context_to_thread_executor", "threadlocal", "single_thread_executor"):
    _needed("asgiref.sync", f"SyncToAsync.{_path}")
executors: Any = _needed("asgiref.sync", "AsyncToSync.executors._storage._data")
restore_context: Any = _needed("asgiref.sync", "_restore_context", takes=1)
rehome: Any = _needed("asgiref.local", "_rehome", takes=1)
threadlocals: Any = _needed("anyio._core._eventloop", "threadlocals")
set_current_async_library: Any = _needed("anyio._core._eventloop", "set_current_async_library", takes=1)
task_states: Any = _needed("anyio._backends._asyncio", "_task_states")
set_running_loop: Any = _needed(asyncio.__name__, "_set_running_loop", takes=1)
next_item: Any = _needed("starlette.concurrency", "_next", takes=1)
StopDrawing: Any = _needed("starlette.concurrency", "_StopIteration")
for _path in ("thread_id", "data"):
    _needed("asgiref.local", f"_Storage.{_path}")
if not TYPE_CHECKING:
    Storage = _needed("asgiref.local", "_Storage")
    AsyncIOBackend = _needed("anyio._backends._asyncio", "AsyncIOBackend")
