"""How the caller comes to the functions that ask for it: `rows`, `related_rows` and `server_values`.

1. The parameter ``access`` of such a function, and of a dependency below it, is never read from the request: a client
   would choose who it is.
2. No other parameter of such a function is, unless it says so itself: a client would choose what it may see.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

from django.conf import settings
from fastapi import Depends
from fastapi.params import Body, Param
from fastapi.params import Depends as DependsMarker
from fastapi.security import SecurityScopes
from pydantic.fields import FieldInfo
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection
from starlette.responses import Response

from djfast_mount.crud.access.scopes import WRITES, Action
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["check_callers", "check_named_scopes", "handed", "warn_of_open"]

logger = logging.getLogger("djfast_mount.crud")
_REMEDY = "Add security= to it, as in security=CurrentUser"
_SOURCES = (
    "Take access in its place, or say where it comes from, as in Annotated[Any, Depends(...)] or "
    "Annotated[str, Header()]."
)
# What FastAPI hands to a parameter by its type.
_HANDED_BY_TYPE = (HTTPConnection, Response, BackgroundTasks, SecurityScopes)


def check_callers(resource: Resource) -> None:
    """Raises ConfigurationError when `resource` has no `security`, and something asks for the caller.

    Rules of the whole tree are asked in every call: one of a child asks for the caller of its parent, too.
    """
    for owner, name, rule in _rules(resource):
        what = f"{name} of {owner.label}" if owner is not resource else name
        if resource.caller is None and _plain(rule) is not None:
            raise ConfigurationError(
                f"{resource.label}: the function of {what}, {_called(rule)}, has the parameter access, and the router "
                f"has no security=. Anybody could send it. {_REMEDY}, or to a router above."
            )
        if (sent := _read_from_request(rule)) is not None:
            told = did_you_mean(sent, ["access"], _SOURCES)
            raise ConfigurationError(
                f"{resource.label}: the function of {what}, {_called(rule)}, has the parameter {sent!r}, which would "
                f"be read from the request: a client would choose it. {told}"
            )
        # At every depth: FastAPI reads a parameter that names no dependency from the query, so `?access=...` would
        # choose the caller for a rule three levels down.
        for each in _below(rule):
            if _plain(each) is not None:
                raise ConfigurationError(
                    f"{resource.label}: {_called(each)}, a dependency of {what}, has the parameter access, which would "
                    "be read from the request. Say where it comes from, as in access: Annotated[Any, Depends(...)]."
                )
    # Without a caller nobody asks for scopes: the routes would read as closed and be open. So the start is refused.
    if resource.caller is not None:
        return
    if resource.permissions is not None:
        raise ConfigurationError(
            f"{resource.label}: permissions={resource.permissions!r} needs a caller, and the router has no security=. "
            f"{_REMEDY}, or to a router above."
        )
    if resource.scopes.some():
        raise ConfigurationError(
            f"{resource.label}: scopes= needs a caller, and the router has no security=. Add security= to it, as in "
            "security=api_token, or to a router above."
        )


def check_named_scopes(resource: Resource, action: Action) -> None:
    """Raises ConfigurationError when `action` writes, and no scopes say who may, though others are named.

    Such an action would be open to every caller, also to one who may not even read.
    """
    above = [*resource.parents(), resource]
    if action not in WRITES or resource.scopes.names(action) or resource.wanted_scopes(action):
        return
    if not any(each.scopes.some() for each in above):
        return
    named: Action = action
    source = resource
    while source.takes_scopes_over and source.parent is not None:
        source, named = source.parent, "update"
    why = f", which those of {source.label} need" if source is not resource else ""
    raise ConfigurationError(
        f"{resource.label}: {action} has no scopes, and every caller could do it. Add {named}=[...]{why} to its "
        f"ActionScopes. {named}=[] says that it needs none."
    )


def warn_of_open(root: Resource, guarded: Callable[[Resource], bool]) -> None:
    """Logs a warning for each resource below `root`, and it, that everybody may write. With DEBUG it does nothing.

    Args:
        guarded: Whether something else, a dependency of the router, is asked before its endpoints.
    """
    # A warning, not an error: a gateway or an including router may check the caller, which cannot be seen from here.
    for each in [] if settings.DEBUG else root.walk():
        if each.caller is None and (each.bodies or each.deletes) and not guarded(each):
            logger.warning(
                "%s lets everybody write: it has neither security= nor dependencies=. Add security=. If the app or "
                "an including router checks the caller, silence the logger %s.",
                each.label,
                logger.name,
            )


def _rules(resource: Resource) -> Iterator[tuple[Resource, str, Callable[..., Any]]]:
    for each in resource.root().walk():
        for model, rule in each.rows.items():
            yield each, "rows=" if model is each.model else "related_rows=", rule
    if resource.server_values is not None:
        yield resource, "server_values=", resource.server_values


def _called(dependency: Any) -> str:
    return getattr(dependency, "__qualname__", None) or repr(dependency)


def _parameters(dependency: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(dependency, eval_str=True).parameters.values())


def _plain(dependency: Callable[..., Any]) -> inspect.Parameter | None:
    """The parameter ``access`` of `dependency` that says not itself which dependency it comes from."""
    # By the names alone first: annotations may name what only FastAPI can resolve, and most rules do not ask for the
    # caller.
    if "access" not in inspect.signature(dependency).parameters:
        return None
    [found] = [each for each in _parameters(dependency) if each.name == "access"]
    return found if _marker(found) is None else None


def _marker(parameter: inspect.Parameter) -> DependsMarker | None:
    if isinstance(parameter.default, DependsMarker):
        return parameter.default
    if get_origin(parameter.annotation) is not Annotated:
        return None
    items = get_args(parameter.annotation)[1:]
    # Beside a Query() or a Header(), FastAPI may take that one.
    if any(isinstance(item, FieldInfo) for item in items):
        return None
    return next((item for item in reversed(items) if isinstance(item, DependsMarker)), None)


def _read_from_request(dependency: Callable[..., Any]) -> str | None:
    """The name of a parameter of `dependency` that FastAPI would read from the request, though it says not so itself;
    None where there is none."""
    try:
        found = _parameters(dependency)
    except NameError:
        # An annotation names what is not there. FastAPI makes no parameter of it, but it may make some of the others.
        plain = inspect.signature(dependency).parameters.values()
        found = [each for each in plain if not isinstance(each.annotation, str)]
    return next((each.name for each in found if each.name != "access" and not _has_source(each)), None)


def _has_source(parameter: inspect.Parameter) -> bool:
    """Whether `parameter` says where its value comes from: a dependency, the connection, or a part of the request."""
    kind, *more = get_args(annotation) if get_origin(annotation := _meant(parameter)) is Annotated else [annotation]
    if any(isinstance(each, DependsMarker | Param | Body) for each in (*more, parameter.default)):
        return True
    return isinstance(kind, type) and issubclass(kind, _HANDED_BY_TYPE)


def _meant(parameter: inspect.Parameter) -> Any:
    # Of an alias by `type`, FastAPI takes what it stands for.
    return getattr(parameter.annotation, "__value__", parameter.annotation)


def _below(dependency: Callable[..., Any], seen: frozenset[int] = frozenset()) -> Iterator[Callable[..., Any]]:
    """The dependencies that `dependency` names, at every depth."""
    try:
        parameters = _parameters(dependency)
    except (NameError, TypeError, ValueError):
        # FastAPI raises for it as well, and its message is better.
        return
    for parameter in parameters:
        marker = _marker(parameter)
        inner = marker.dependency if marker is not None else None
        if inner is not None and id(inner) not in seen:
            yield inner
            yield from _below(inner, seen | {id(inner)})


def handed(dependency: Callable[..., Any], caller: Callable[..., Any] | None) -> Callable[..., Any]:
    """Returns `dependency`, whose parameter ``access`` gets what `caller` returns if it names no dependency itself.

    Raises: ConfigurationError, when there is no `caller` to hand.
    """
    wanted = _plain(dependency)
    if wanted is None:
        return dependency
    if caller is None:
        raise ConfigurationError(f"{_called(dependency)} has the parameter access, and the router has no security=.")
    keyword = inspect.Parameter.KEYWORD_ONLY
    replaced = inspect.Parameter("access", keyword, annotation=Annotated[Any, Depends(caller)])
    # FastAPI calls by keyword. If all are keyword-only, one without a default may follow one with a default.
    others = [
        replaced if each.name == "access" else each if each.kind is each.VAR_KEYWORD else each.replace(kind=keyword)
        for each in _parameters(dependency)
    ]
    return (_HandedCoroutine if _is_coroutine(dependency) else _Handed)(dependency, caller, inspect.Signature(others))


def _is_coroutine(dependency: Any) -> bool:
    # A callable object is a coroutine function if its __call__ is. The __call__ of a function's or a partial's type
    # says nothing.
    return inspect.iscoroutinefunction(dependency) or inspect.iscoroutinefunction(type(dependency).__call__)


class _Handed:
    """A dependency that is handed what another returns."""

    # To FastAPI it is equal to the function that it stands for, so that tests override it by that.

    def __init__(
        self, dependency: Callable[..., Any], caller: Callable[..., Any], signature: inspect.Signature
    ) -> None:
        self._dependency = dependency
        self._caller = caller
        self.__signature__ = signature

    def __eq__(self, other: object) -> bool:
        # `dependency_overrides` is a dict that FastAPI asks with this object. A test that overrides the rule it has
        # written must find it.
        if not isinstance(other, _Handed):
            return other is self._dependency
        # FastAPI calls equal dependencies once in a request. What was made for one caller is nothing for another.
        return other._dependency is self._dependency and other._caller == self._caller

    def __hash__(self) -> int:
        return hash(self._dependency)

    def __call__(self, **values: Any) -> Any:
        return self._dependency(**values)


class _HandedCoroutine(_Handed):
    async def __call__(self, **values: Any) -> Any:
        return await self._dependency(**values)
