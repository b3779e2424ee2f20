"""All questions of a request whose route is known, written out as one function for that route.

What remains, when a route was found by method and path, is to ask whether all is as it was when it was found so: its
router, the stack of its API, who watches, what stands around, and what the plan was made from. The same is asked
elsewhere by several functions in turn, of every route; here it is asked at once, which costs half. Then the scope is
given what the stack and the router put there.

For ``GET /items/{name}`` it writes this (numbers of names left out):

    def enter(scope, match):
        if not (
            ROUTER.routes == ROUTES
            and router._routes_version == 3                  # of each router that is included
            and not API.root_path
            and API.middleware_stack is STACK
            and 'fastapi.telemetry' not in scope and 'path_params' not in scope and ...
            and tracers['_TRACER_PROVIDER'] is None and ...  # nobody watches
            and LISTS.now == LISTS.then and ...              # nothing around the API has anything to do
            and own['path_regex'] is regex and 'matches' not in original
            and ...                                          # what the plan asks
        ):
            return False
        scope['path_params'] = match.groupdict()
        scope['app'] = API
        ...
        return True
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from fastapi import FastAPI
from starlette.types import ASGIApp, Scope

from djfast_mount.fastpath.lines import Lines, Objects
from djfast_mount.fastpath.plan import Plan, compiled
from djfast_mount.fastpath.telemetry import Question
from djfast_mount.offload.current import KEY

__all__ = ["Around", "Standing", "entry_of", "never"]

# A route that may share its path with more is asked for these by a function: their questions would be a long text.
_MOST_RIVALS = 8


class Lists(Protocol):
    """Lists of routes. Where they are not as they were, something is to be done before the next call."""

    @property
    def now(self) -> list[Any]:
        """The lists."""

    @property
    def then(self) -> list[Any]:
        """What was in them."""


class Settings(Protocol):
    """What a project's settings have done to calls."""

    @property
    def adds_headers(self) -> bool:
        """Whether headers are added to their responses."""

    @property
    def changes_calls(self) -> bool:
        """Whether something else is."""


class Around(NamedTuple):
    """What stands around an API, and mostly has nothing to do.

    Args:
        app: All of it.
        lists: It has something to do where they have changed.
        settings: So it has where these change calls. None: they change nothing.
        headers: Makes the headers that are to be added, told whether the call is secure.
    """

    app: ASGIApp
    lists: Lists
    settings: Settings | None
    headers: Callable[[bool], Mapping[bytes, bytes]]

    @property
    def does_nothing(self) -> bool:
        """Whether a call may pass all of it by, if it gets its headers."""
        return self.lists.now == self.lists.then and not (self.settings is not None and self.settings.changes_calls)

    def put_headers(self, scope: Scope) -> None:
        """Has the response of a call that passes all of it by get its headers."""
        if self.settings is not None and self.settings.adds_headers:
            scope[KEY].headers = self.headers(scope.get("scheme") == "https")


class Standing(NamedTuple):
    """Where plans stand that serve before the stack of an API.

    Args:
        handlers: Those of the exceptions in its stack.
        endings: Of paths at which some layer has something to do.
        question: Who watches its calls.
        absent: The keys that are in no scope of a call that is served here.
        around: What else is passed by; None: nothing.
    """

    api: FastAPI
    handlers: Any
    endings: tuple[str, ...]
    question: Question
    absent: tuple[str, ...]
    around: Around | None


def never(scope: Scope, match: Any) -> bool:
    """Returns False: as `enter()` of what no request has been found for."""
    return False


def entry_of(
    leaf: Any, index: Any, plan: Plan, standing: Standing, put_included: Callable[[Any, Scope], None]
) -> Callable[[Scope, Any], bool]:
    """Returns `enter(scope, match)`. It tells whether a request, whose method and path lead to `leaf`, is still to be
    served by `plan`. If it is, its scope is given what is to be in it.

    Args:
        leaf: Of `index`, a djfast_mount.fastpath.route_index.RouteIndex, which is above this module for types alone.
        put_included: Puts into a scope what is there for a route that was included.
    """
    objects = Objects()
    asked = [*_of_the_stack(index, standing, objects), *_of_the_route(leaf, index, objects), *plan.asked]
    lines = Lines()
    with lines.block("def enter(scope, match):"):
        with lines.block("if not ("):
            lines.add(asked[0], *(f"and {question}" for question in asked[1:]))
        lines.add("): return False", *_entering(leaf, standing), "return True")
    around = standing.around
    names: dict[str, Any] = {
        **plan.objects,
        **objects.by_name,
        **standing.question.names,
        "API": standing.api,
        "AROUND": around,
        "ENDINGS": standing.endings,
        "HANDLERS": standing.handlers,
        "HEADERS": None if around is None else around.headers,
        "JUDGED": leaf.judged,
        "KEY": KEY,
        "LEAF": leaf,
        "LISTS": None if around is None else around.lists,
        "ORIGINAL": leaf.original,
        "ROUTER": standing.api.router,
        "ROUTES": index.routes,
        "SETTINGS": None if around is None else around.settings,
        "STACK": standing.api.middleware_stack,
        "put_included": put_included,
    }
    # It raises nothing, and the lines of each route would take much memory.
    made = compiled(str(lines), names, f"guard of {plan.facts.name}", shows_lines=False)
    entry: Callable[[Scope, Any], bool] = made["enter"]
    return entry


def _of_the_stack(index: Any, standing: Standing, objects: Objects) -> Iterator[str]:
    yield "ROUTER.routes == ROUTES"
    for router, version in index.versions:
        yield f"{objects.add(router, 'router')}._routes_version == {version!r}"
    yield "not API.root_path"
    yield "API.middleware_stack is STACK"
    for key in standing.absent:
        yield f"{key!r} not in scope"
    yield from standing.question.unwatched
    if standing.around is not None:
        yield "LISTS.now == LISTS.then"
        if standing.around.settings is not None:
            yield "not SETTINGS.changes_calls"


def _of_the_route(leaf: Any, index: Any, objects: Objects) -> Iterator[str]:
    yield "scope['method'] in (JUDGED.methods or ())"
    rivals: Sequence[Any] = index.rivals_of(leaf)
    if leaf.whole:
        path = "/".join(leaf.literal)
        for rival in rivals:
            if rival is not leaf and rival.regex.match(path):
                yield f"not {objects.add(rival, 'rival')}.allows(scope['method'])"
    else:
        yield "not scope['path'].endswith(ENDINGS)"
    if len(rivals) > _MOST_RIVALS:
        yield f"not any(map({objects.add(index.is_changed, 'is_changed')}, {objects.add(rivals, 'rivals')}))"
        return
    for rival in rivals:
        own, original = objects.add(rival.own, "own"), objects.add(rival.own_of_original, "original")
        yield f"{own}['path_regex'] is {objects.add(rival.regex, 'regex')}"
        yield f"'matches' not in {original}"


def _entering(leaf: Any, standing: Standing) -> Iterator[str]:
    if leaf.whole:
        yield "scope['path_params'] = {}"
    elif leaf.takes_texts:
        yield "scope['path_params'] = match.groupdict()"
    else:
        # A convertor may raise: what then happens is for all layers to see.
        yield "try: scope['path_params'] = LEAF.path_params(match, scope)"
        yield "except Exception: return False"
    # As the stack and the router put it there.
    yield "scope['app'] = API"
    yield "scope['starlette.exception_handlers'] = HANDLERS"
    yield "if 'router' not in scope: scope['router'] = ROUTER"
    yield "scope['endpoint'] = JUDGED.endpoint"
    yield "scope['route'] = ORIGINAL"
    if leaf.included is not None:
        yield "put_included(LEAF, scope)"
    if standing.around is not None and standing.around.settings is not None:
        yield "if SETTINGS.adds_headers: scope[KEY].headers = HEADERS(scope.get('scheme') == 'https')"
