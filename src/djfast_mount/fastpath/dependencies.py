"""The calls of a plan in FastAPI's order, each with the lines that read its parameters.

The tree of dependencies is known when a plan is made, and so is what its cache will hold: a use of what was called
before is the variable with the result. FastAPI reads the parameters of such a use again, so a plan does too.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from typing import Any, Literal

from djfast_mount.fastpath.body import write_body
from djfast_mount.fastpath.eligibility import Facts, NotPlanned
from djfast_mount.fastpath.lines import Lines, Objects
from djfast_mount.fastpath.parameters import Source, write_parameter
from djfast_mount.fastpath.private_names import private

__all__ = ["Call", "Kind", "Tree"]

Kind = Literal["coroutine", "plain", "context", "generator"]
"""`context` is a plain function with `yield`, `generator` an async one."""

_SOURCES: tuple[tuple[str, Source], ...] = (
    ("path_params", "path"),
    ("query_params", "query"),
    ("header_params", "header"),
    ("cookie_params", "cookie"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: of a dependency or, as the last one, of the endpoint.

    Attributes:
        reads: The lines before it.
        arguments: Names, and the variables with their values.
        target: The variable that the result goes to.
        key: FastAPI's key of its cache, for a dependency whose result goes there.
    """

    dependant: Any
    reads: Lines
    arguments: list[tuple[str, str]]
    target: str
    kind: Kind
    key: Any = None

    @property
    def is_job(self) -> bool:
        """Whether it is made on the request thread, together with its neighbours."""
        return self.kind in ("plain", "context")


class Tree:
    """All calls of a route.

    Attributes:
        calls: In their order; the endpoint is the last.
        variables: All that the lines bind.
        wants: What is asked for anywhere: names of fields of a dependant.
    """

    def __init__(self, facts: Facts, objects: Objects) -> None:
        self.calls: list[Call] = []
        self.variables = ["result"]
        self.wants: set[str] = set()
        self._facts = facts
        self._objects = objects
        self._results: dict[Any, str] = {}  # FastAPI's cache: key -> variable
        self._pending = Lines()
        self._stale: set[str] = set()  # what a call may have changed since it was read
        self._runs_again = False  # whether FastAPI would call something again that it was told not to cache
        dependant = facts.dependant
        arguments = self._read(dependant)
        kind: Kind = "coroutine" if facts.cells["is_coroutine"] else "plain"
        self._add(Call(dependant, self._pending, arguments, "result", kind))

    @property
    def has_generators(self) -> bool:
        """Whether a dependency is a generator."""
        return any(call.kind in ("context", "generator") for call in self.calls)

    def _add(self, call: Call) -> None:
        self.calls.append(call)
        self._pending = Lines()
        # A dependency may change the scope, and FastAPI reads these anew for each dependant. Query and cookies it
        # keeps.
        self._stale = {"path", "header"}

    def _new(self, hint: str) -> str:
        name = f"{hint}{len(self.variables)}"
        self.variables.append(name)
        return name

    def _read(self, dependant: Any) -> list[tuple[str, str]]:
        """Comes to all that `dependant` needs, and returns its arguments."""
        arguments: dict[str, str] = {}
        for below in dependant.dependencies:
            variable = self._solve(below)
            if below.name is not None:
                arguments[below.name] = variable
        for attribute, source in _SOURCES:
            fields = getattr(dependant, attribute)
            if fields:
                self.wants.add(attribute)
                self._refresh(source)
            for field in fields:
                arguments[field.name] = variable = self._new("x")
                write_parameter(self._pending, self._objects, field, source, variable)
        if fields := dependant.body_params:
            variables = [self._new("x") for _ in fields]
            arguments.update(zip((field.name for field in fields), variables, strict=True))
            write_body(self._pending, self._objects, dependant, variables, self._facts.cells["embed_body_fields"])
        self._read_special(dependant, arguments)
        # A refusal hands the results so far to FastAPI's own solver, which would call such a dependency a second time.
        if self._runs_again and "break" in self._pending.names():
            raise NotPlanned("a dependency with use_cache=False comes before what may be refused")
        if not all(name.isidentifier() and not keyword.iskeyword(name) for name in arguments):
            raise NotPlanned("a parameter whose name is no identifier")
        return list(arguments.items())

    def _read_special(self, dependant: Any, arguments: dict[str, str]) -> None:
        specials = {
            "http_connection_param_name": "request",
            "request_param_name": "request",
            "background_tasks_param_name": "tasks",
            "response_param_name": "response",
        }
        for attribute, variable in specials.items():
            name = getattr(dependant, attribute)
            if name:
                self.wants.add(attribute)
                arguments[name] = variable
        if name := dependant.security_scopes_param_name:
            scopes = self._objects.add(private._get_oauth_scopes(dependant=dependant), "scopes")
            arguments[name] = f"SecurityScopes(scopes=[*{scopes}])"

    def _refresh(self, source: Source) -> None:
        """Has the path parameters, or the headers, read again if a call may have changed them."""
        if source in self._stale:
            self._stale.discard(source)
            again = {"path": "path = scope['path_params']", "header": "first = dict(reversed(headers))"}
            self._pending.add(again[source])

    def _solve(self, dependant: Any) -> str:
        """Comes to the call of a dependency, and returns the variable with its result."""
        arguments = self._read(dependant)
        key = private._get_cache_key(dependant=dependant)
        try:
            known = self._results.get(key)
        except TypeError:
            raise NotPlanned("a dependency that cannot be a key of a cache") from None
        if dependant.use_cache and known is not None:
            return known
        target = self._new("d")
        if not dependant.use_cache:
            self._runs_again = True
        self._add(Call(dependant, self._pending, arguments, target, _kind_of(dependant), key))
        self._results.setdefault(key, target)
        return target


def _kind_of(dependant: Any) -> Kind:
    if private._is_async_gen_callable(dependant.call):
        return "generator"
    if private._is_gen_callable(dependant.call):
        return "context"
    return "coroutine" if private._is_coroutine_callable(dependant.call) else "plain"
