"""Neighbouring middleware of Django's async chain, its methods run together: joined.

Django runs each `process_request`, each `process_view` and each `process_response` of an async chain in a call of the
request thread of its own. Here those that stand next to one another share one call before what they are around, and one
after it. The first of the two goes on to the `process_view` methods where the view is next.

1. Joined are those that do nothing around their methods that Django's MiddlewareMixin does not, whose methods are sync,
   and whose `get_response` is the one that they were given. All others stay in the links that Django makes for them.
   This is looked at while the chain is loaded: a `get_response` that is replaced later is not called.
2. The order, what each method is given, and whose error becomes whose response are Django's. An error becomes a
   response on the request thread, where Django takes any.
3. What a method sets, in contextvars and in Locals, is there for all that comes after it.
4. A middleware's `get_response` serves all that is within it, joined too, and has the attributes that Django's has.
5. Before and after what they are around, neighbours make a call only if one of them has a method for it. Where the
   outermost have no `process_request`, djfast_mount.django_half.handler makes a call that does nothing but begin the
   spell.

Names used here that are not public, each with a canary test: BaseHandler's _middleware_chain, its _view_middleware, and
its _get_response_async, which asks resolve_request() first and then each of those; the code of the function that
convert_exception_to_response() makes of an async one; MiddlewareMixin's async_mode and __acall__.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Awaitable, Callable, Sequence
from types import FunctionType
from typing import Any

from asgiref.sync import SyncToAsync, iscoroutinefunction
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response, response_for_exception
from django.http import HttpRequest
from django.urls import ResolverMatch

from djfast_mount.django_half.middleware_methods import End, Neighbours, has_methods_only, on_the_thread

__all__ = ["JoinedChain"]

Link = Callable[[HttpRequest], Awaitable[Any]]

_AHEAD = "_djfast_mount_ahead"


async def _sample(request: HttpRequest) -> Any:
    """What Django's converter is shown, to know its work again."""


_to_link: Any = convert_exception_to_response
# None where another than Django's converter makes the links: none is joined then.
_LINK = getattr(_to_link(_sample), "__code__", None)


class JoinedChain(BaseHandler):
    """Django's middleware around its views, loaded; what can be joined of it is.

    Args:
        is_async: In which mode.
        end: Called on the request thread with the request and its response, where the outermost middleware are joined:
            they have nothing more to do there.
    """

    # As they are to type checkers, who do not know what is not public.
    _get_response_async: Any
    _middleware_chain: Any
    _view_middleware: Any

    def __init__(self, *, is_async: bool, end: End | None = None) -> None:
        self._runs: dict[Link, Neighbours] = {}
        self._given: Any = None  # the get_response that the last middleware was given
        self._joins: dict[Link, Link] = {}  # what has become of a link, and does again
        self._view_methods: Sequence[Callable[..., Any]] = ()  # of the view hooks, those that come first
        self.load_middleware(is_async=is_async)
        if is_async:
            self._join_view_middleware()
        self._outermost = self._runs.get(self._middleware_chain)
        if self._outermost is not None:
            self._outermost.end = end

    @property
    def begins_on_the_thread(self) -> bool:
        """Whether a call of the request thread is the first thing that each request does here."""
        return self._outermost is not None and self._outermost.has("process_request")

    def adapt_method_mode(
        self, is_async: bool, method: Any, method_is_async: bool | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        # Django passes `method_is_async` for the links of the chain, and not for hooks. The link that is returned here
        # becomes the `get_response` of the next middleware.
        is_link = method_is_async is not None
        adapted = super().adapt_method_mode(
            is_async, self._join(method) if method_is_async else method, method_is_async, *args, **kwargs
        )
        if is_link:
            self._given = adapted
        return adapted

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        ahead: _Ahead | None = vars(request).get(_AHEAD)
        return super().resolve_request(request) if ahead is None else ahead.match

    def _join(self, link: Any) -> Any:
        """Returns `link`, or what does the same with its middleware joined to those within."""
        if not _is_djangos(link):
            return link
        # Django adapts a link twice when it drops a middleware (MiddlewareNotUsed). `_given` belongs to the dropped
        # one by then, so the first result is used again.
        if link not in self._joins:
            self._joins[link] = self._joined(link)
        return self._joins[link]

    def _joined(self, link: Any) -> Any:
        middleware = link.__wrapped__
        if not _can_be_joined(middleware) or middleware.get_response is not self._given:
            return link
        run = Neighbours(middleware, self._runs.get(self._given), self._given, response_for_exception)
        if _is_djangos(run.inner) and run.inner.__wrapped__ == getattr(self, "_get_response_async", None):
            run.ahead = self._look_ahead

        @functools.wraps(middleware)
        async def joined(request: HttpRequest) -> Any:
            return await run.serve(request)

        self._runs[joined] = run
        return joined

    def _join_view_middleware(self) -> None:
        hooks: list[Any] = []
        for is_sync, group in itertools.groupby(self._view_middleware, _is_from_sync):
            if is_sync:
                methods = tuple(hook.func for hook in group)
                self._view_methods = self._view_methods if hooks else methods
                hooks.append(functools.partial(_first_said, methods))
            else:
                hooks += group
        self._view_middleware = hooks

    def _look_ahead(self, request: HttpRequest) -> None:
        """Finds the view and asks the first `process_view` methods about it. Runs on the request thread."""
        vars(request).pop(_AHEAD, None)
        if not self._view_methods:
            return
        try:
            match = self.resolve_request(request)
        except Exception:  # It will be met again where Django resolves.
            return
        vars(request)[_AHEAD] = _Ahead(self._view_methods, request, match)


class _Ahead:
    """What a request resolves to, and what `process_view` methods have said to that."""

    def __init__(self, methods: Sequence[Callable[..., Any]], request: HttpRequest, match: ResolverMatch) -> None:
        self.match = match
        self._said: Any = None
        self._error: Exception | None = None
        try:
            self._said = _first(methods, request, *match)
        except Exception as error:
            self._error = error

    def said(self) -> Any:
        """Returns or raises what the methods did. Called once."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._said
        finally:
            del error  # Its traceback leads back to this frame.


def _first(methods: Sequence[Callable[..., Any]], *args: Any) -> Any:
    """Returns what the first method returns that is true, or what the last one does. Runs on the request thread."""
    said = None
    for method in methods:
        if said := method(*args):
            break
    return said


async def _first_said(methods: Sequence[Callable[..., Any]], request: HttpRequest, *args: Any) -> Any:
    """The same, for the event loop; where it was asked ahead, that is the answer."""
    ahead: _Ahead | None = vars(request).pop(_AHEAD, None)
    return await on_the_thread(_first, methods, request, *args) if ahead is None else ahead.said()


def _is_djangos(link: Any) -> bool:
    """Whether `link` is what Django's converter has made of something async, and nobody has put more around it."""
    return type(link) is FunctionType and link.__code__ is _LINK


def _can_be_joined(middleware: Any) -> bool:
    own = vars(middleware) if hasattr(middleware, "__dict__") else {}
    return (
        has_methods_only(middleware)
        and own.get("async_mode") is True
        and "__acall__" not in own
        and all(
            _is_sync(getattr(middleware, name))
            for name in ("process_request", "process_response")
            if hasattr(middleware, name)
        )
    )


def _is_sync(method: Any) -> bool:
    """Whether asgiref takes `method` for a sync one."""
    return callable(method) and not (iscoroutinefunction(method) or iscoroutinefunction(method.__call__))


def _is_from_sync(hook: object) -> bool:
    return type(hook) is SyncToAsync
