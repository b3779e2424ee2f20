"""A plan: the function that serves the requests of one route, and the questions that each request asks first."""

from __future__ import annotations

import linecache
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from djfast_mount.fastpath.eligibility import Facts, NotPlanned, facts_of
from djfast_mount.fastpath.lines import named_in
from djfast_mount.fastpath.private_names import unknown
from djfast_mount.fastpath.source import write
from djfast_mount.fastpath.vocabulary import objects_for

__all__ = ["Plan", "compiled", "plan_for"]

logger = logging.getLogger("djfast_mount")

_making = threading.Lock()


class Plan:
    """What serves the requests of one route in FastAPI's stead.

    Attributes:
        serve: `serve(place, scope, receive, send)`, a coroutine function.
        holds: Whether all that may change under a running app is as it was when the plan was made.
        source: The text of both.
        asked: What `holds` asks: expressions.
        objects: What the text names.
    """

    __slots__ = ("asked", "facts", "holds", "objects", "serve", "source")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.source, self.asked, named = write(facts)
        self.objects = {**named, **objects_for(facts)}
        objects = compiled(self.source, self.objects, f"plan of {facts.name}")
        self.serve: Callable[..., Coroutine[Any, Any, None]] = objects["serve"]
        self.holds: Callable[[], bool] = objects["holds"]


def compiled(source: str, objects: dict[str, Any], name: str, *, shows_lines: bool = True) -> dict[str, Any]:
    """Returns the functions in `source`, which names some of `objects`, by their names, and these.

    Args:
        shows_lines: Whether tracebacks show its lines.
    """
    file = f"<djfast_mount {name}>"
    if shows_lines:
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    # Those that are named: all of them for each route would take more memory than the functions.
    named = named_in(source)
    namespace = {**{each: value for each, value in objects.items() if each in named}, "__name__": __name__}
    exec(compile(source, file, "exec"), namespace)
    return namespace


def plan_for(effective: Any, route: Any) -> Plan | str:
    """Returns the plan of a route, or in words why FastAPI serves it itself."""
    if unknown is not None:
        return f"this FastAPI is not known: {unknown}"
    with _making:
        try:
            return Plan(facts_of(effective, route))
        except NotPlanned as reason:
            return str(reason)
        except Exception:
            # A route must not fail for want of a plan.
            logger.exception("No plan could be made of %r. FastAPI serves it itself, which is slower.", effective)
            return "no plan could be made: see the log"
