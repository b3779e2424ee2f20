"""All questions of a request whose route is known, written out as one function for that route.

A route without path parameters is found by a request's method and path alone. What remains is to ask whether all is as
it was when the route was found so: its router, the stack of its API, who watches, and what the plan was made from. The
same is asked elsewhere by several functions in turn, of every route; here it is asked at once, which costs half.

For ``GET /items`` it writes this (numbers of names left out):

    def holds(scope):
        return (
            ROUTER.routes == ROUTES
            and router._routes_version == 3                  # of each router that is included
            and not API.root_path
            and API.middleware_stack is STACK
            and 'fastapi.telemetry' not in scope and 'path_params' not in scope and ...
            and not is_watched()
            and scope['method'] in (EFFECTIVE.methods or ())
            and own['path_regex'] is regex and 'matches' not in original
            and ...                                          # what the plan asks
        )
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI
from starlette.types import Scope

from djfast_mount.fastpath.lines import Lines, Objects
from djfast_mount.fastpath.plan import Plan, compiled

__all__ = ["guard_of"]


def guard_of(
    leaf: Any, index: Any, plan: Plan, api: FastAPI, is_watched: Callable[[], bool], absent: Iterable[str]
) -> Callable[[Scope], bool]:
    """Returns what tells whether a request, whose method and path lead to `leaf`, is still to be served by `plan`.

    Args:
        leaf: Of `index`, a djfast_mount.fastpath.route_index.RouteIndex, which is above this module for types alone.
        api: Before whose stack the plan serves.
        is_watched: Whether somebody watches the calls of `api`.
        absent: The keys that are in no scope of such a request.
    """
    objects = Objects()
    asked = ["ROUTER.routes == ROUTES"]
    asked += [f"{objects.add(each, 'router')}._routes_version == {version!r}" for each, version in index.versions]
    asked += ["not API.root_path", "API.middleware_stack is STACK", "not is_watched()"]
    asked += [f"{key!r} not in scope" for key in absent]
    asked.append("scope['method'] in (EFFECTIVE.methods or ())")
    path = "/".join(leaf.literal)
    for rival in index.rivals_of(leaf):
        if rival is not leaf and rival.regex.match(path):
            asked.append(f"not {objects.add(rival, 'rival')}.allows(scope['method'])")
        own, original = objects.add(rival.own, "own"), objects.add(rival.own_of_original, "original")
        asked += [f"{own}['path_regex'] is {objects.add(rival.regex, 'regex')}", f"'matches' not in {original}"]
    asked += plan.asked
    lines = Lines()
    with lines.block("def holds(scope):"), lines.block("return ("):
        lines.add(asked[0], *(f"and {question}" for question in asked[1:]))
    lines.add("    )")
    names: dict[str, Any] = {
        **plan.objects,
        **objects.by_name,
        "API": api,
        "ROUTER": api.router,
        "ROUTES": index.routes,
        "STACK": api.middleware_stack,
        "is_watched": is_watched,
    }
    holds: Callable[[Scope], bool] = compiled(str(lines), names, f"guard of {plan.facts.name}")["holds"]
    return holds
