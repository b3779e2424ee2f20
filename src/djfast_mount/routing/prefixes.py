"""Which app answers a path, and the scope that app is handed.

1. A prefix owns its own path and all below it, at segment boundaries: ``/api`` owns ``/api`` and ``/api/x``, not
   ``/apix``.
2. The longest prefix wins. Comparison is of strings, on the once-decoded ``scope["path"]``: no regular expression, no
   redirect, no case folding, no dot segments resolved.
3. The outer prefix (``root_path``) is taken off first. A path that does not start with it is taken as it is.
4. MountedApplication._dispatch has the rule once more, written out for the shortest way.
5. What is handed on is a copy (ASGI specification, "Middleware"); its path always starts with its root_path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from starlette.types import Scope

__all__ = ["NOTHING", "SENT", "PrefixRouter", "child_scope", "has_control_character", "namespace_of", "split_root_path"]

T = TypeVar("T")

SENT = "djfast_mount.sent"
"""The key in a scope of what the client has sent, whatever is made of the scope within: a tuple of the method and
the headers, in a tuple.
"""

NOTHING: Mapping[str, Any] = {}
"""An empty mapping that nobody changes: the default where there is nothing to add."""


class PrefixRouter(Generic[T]):
    """Prefixes and what they lead to. Immutable, so any thread may read it."""

    def __init__(self, targets: Mapping[str, T]) -> None:
        by_length = sorted(targets.items(), key=lambda item: len(item[0]), reverse=True)
        self._table = [(prefix, prefix + "/", target) for prefix, target in by_length]

    def match(self, path: str) -> tuple[str, T] | None:
        """Returns the prefix that owns `path` and its target, or None. `path` has no outer prefix any more."""
        for prefix, below, target in self._table:
            if path.startswith(below) or path == prefix:
                return prefix, target
        return None

    def owners(self, paths: Iterable[str]) -> dict[str, str]:
        """Returns the prefix that owns each of `paths`; those that none owns are left out."""
        # A large project has a hundred thousand files, nearly all under no prefix: one look is enough for these.
        beginnings = tuple(prefix for prefix, _, _ in self._table)
        near = [path for path in paths if path.startswith(beginnings)]
        return {path: match[0] for path in near if (match := self.match(path)) is not None}


def split_root_path(root_path: str, path: str) -> tuple[str, str]:
    """Returns the outer prefix without its last slash, and the path inside of it, which starts with a slash."""
    outer = root_path.rstrip("/")
    if not path.startswith(outer):
        return outer, path
    inner = path[len(outer) :]
    if not inner:
        return outer, "/"
    return outer, inner if inner[0] == "/" else path


def child_scope(scope: Scope, root_path: str, path: str, more: Mapping[str, Any] = NOTHING) -> Scope:
    """Returns a copy of `scope` for an app that is rooted at `root_path`; `path` is the path inside of it.

    Args:
        more: What else the app is to find there.
    """
    child = {**scope, "root_path": root_path, "path": root_path + path, **more}
    # The root's. A Router that finds an app raises its 404, for the app's exception handlers; alone it answers.
    child.pop("app", None)
    if "router" in scope:
        # Left there by a Starlette app around the root. The child's own router is the one that its url_for must ask.
        if "router" not in more:
            del child["router"]
        child.pop("app_root_path", None)
    return child


def has_control_character(path: str) -> bool:
    """Whether `path` holds a character below U+0020, or U+007F."""
    # isprintable() is one pass in C, and true of nearly every path.
    return not path.isprintable() and any(character < " " or character == "\x7f" for character in path)


def namespace_of(prefix: str) -> str:
    """Returns the namespace of the names under `prefix`: ``/api`` has ``api``, ``/api/v1`` has ``api-v1``.

    The root of the host, the empty string, has ``root``.
    """
    return prefix.strip("/").replace("/", "-") or "root"
