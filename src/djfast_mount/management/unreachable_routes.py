"""Routes that no request reaches, for one above them takes every path of theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from djfast_mount.route_table import Route, rows_elsewhere, taking_prefix
from djfast_mount.routing.root_interface import Root

__all__ = ["out_of_reach", "shadowed"]

_DJANGO_PART = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_API_PART = re.compile(r"\{(?P<name>\w+)(?::(?P<kind>\w+))?\}")
_MATCHED = {
    "path": ".+",
    "int": "[0-9]+",
    "slug": "[-a-zA-Z0-9_]+",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "float": r"[0-9]+(\.[0-9]+)?",
}
_EXAMPLES = {"path": "a/b", "int": "1", "slug": "a-b", "uuid": "075194d3-6885-417e-a8a8-6c931e272f00", "float": "1.5"}
_ANY = "a_b.c"


def shadowed(table: Sequence[Route]) -> dict[int, str]:
    """Returns the places of routes in `table` that are never reached, each with the path that answers first.

    It compares what can be compared: paths with named parts. A Django path that is a regular expression is passed over,
    and so are static files: what is none of theirs goes on.
    """
    found: dict[int, str] = {}
    above: list[tuple[Route, re.Pattern[str]]] = []
    for place, route in enumerate(table):
        # Whether one regular expression takes all that another does cannot be told by trying one path.
        if _is_regular_expression(route) or route.owner == "static":
            continue
        example = _example(route)
        by = next((other.path for other, pattern in above if _takes(other, route) and pattern.fullmatch(example)), None)
        if by is not None:
            found[place] = by
        else:
            above.append((route, re.compile(_pattern(route))))
    return found


def out_of_reach(root: Root) -> Iterator[tuple[str, str]]:
    """Yields paths of the URLconf and of static files under a prefix, which the route table leaves out, with it."""
    if root.falls_through:
        return
    for row in rows_elsewhere(root):
        if prefix := taking_prefix(root, row.path):
            yield f"{row.path} of the {'static files' if row.owner == 'static' else 'URLconf'}", prefix


def _is_regular_expression(route: Route) -> bool:
    return route.owner == "Django" and any(character in route.path for character in r"^$\(?*+[")


def _takes(other: Route, route: Route) -> bool:
    """Whether `other` answers every method of `route`."""
    if ("WEBSOCKET" in other.methods) != ("WEBSOCKET" in route.methods):
        return False
    if other.owner in ("Django", "root"):
        return True  # A view that does not know the method answers 405.
    return not other.methods or (bool(route.methods) and set(route.methods) <= set(other.methods))


def _parts(route: Route) -> re.Pattern[str]:
    return _DJANGO_PART if route.owner == "Django" else _API_PART


def _pattern(route: Route) -> str:
    pieces, end = [], 0
    for part in _parts(route).finditer(route.path):
        pieces += [re.escape(route.path[end : part.start()]), _MATCHED.get(part["kind"] or "", "[^/]+")]
        end = part.end()
    return "".join([*pieces, re.escape(route.path[end:])])


def _example(route: Route) -> str:
    return _parts(route).sub(lambda part: _EXAMPLES.get(part["kind"] or "", _ANY), route.path)
