"""What a request's path resolves to, found before any middleware has seen the request, and kept where that holds.

Names used here that are not public, each with a canary test: RoutePattern._route and RegexPattern._regex, which a
translated path has not as a string.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.urls import ResolverMatch, URLPattern, URLResolver, converters, get_resolver
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern
from django.utils.translation import get_language

__all__ = ["Guess", "guess_of"]

_KEY = "_djfast_mount_guess"


def guess_of(request: HttpRequest) -> Guess | None:
    """Returns what was guessed for `request` where that holds still; None otherwise, and when it is asked again."""
    guess: Guess | None = vars(request).pop(_KEY, None)
    return guess if guess is not None and guess.holds(request) else None


class Guess:
    """What the path of `request` resolves to now. Kept with the request, for `guess_of()`."""

    __slots__ = ("dependence", "is_async", "language", "match", "path", "urlconf")

    match: ResolverMatch

    def __init__(self, request: ASGIRequest) -> None:
        self.is_async = False
        try:
            resolver = get_resolver(getattr(request, "urlconf", None))
            self.match = resolver.resolve(request.path_info)
            self.dependence = _dependence(resolver)
        except Exception:  # A 404, a resolver that asks the database, a broken URLconf: the chain will see it again.
            return
        self.path = request.path_info
        self.urlconf = settings.ROOT_URLCONF
        self.language = get_language() if self.dependence.on_language else None  # It takes long to ask for.
        self.is_async = iscoroutinefunction(self.match.func)
        vars(request)[_KEY] = self

    def holds(self, request: HttpRequest) -> bool:
        """Whether resolving again, after the middleware, would come to the same."""
        return (
            not hasattr(request, "urlconf")
            and self.path == request.path_info
            and self.urlconf == settings.ROOT_URLCONF
            and not self.dependence.on_more
            and (not self.dependence.on_language or self.language == get_language())
        )


class _Dependence(NamedTuple):
    """What, besides the path, resolving a path may depend on."""

    on_language: bool
    on_more: bool
    """On anything: a project's own converter or pattern may look at what middleware has set."""


@lru_cache(maxsize=256)
def _dependence(resolver: URLResolver) -> _Dependence:
    found = list(_all_below(resolver))
    on_more = not all(map(_is_djangos, found))
    return _Dependence(on_more or any(map(_is_translated, found)), on_more)


def _all_below(resolver: URLResolver) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        yield pattern
        if isinstance(pattern, URLResolver):
            yield from _all_below(pattern)


def _is_djangos(pattern: Any) -> bool:
    path: Any = pattern.pattern
    return (
        type(pattern) in (URLPattern, URLResolver)
        and type(path) in (RoutePattern, RegexPattern, LocalePrefixPattern)
        and all(type(converter).__module__ == converters.__name__ for converter in path.converters.values())
    )


def _is_translated(pattern: Any) -> bool:
    path: Any = pattern.pattern
    if type(path) is LocalePrefixPattern:
        return True
    return not isinstance(vars(path)["_route" if type(path) is RoutePattern else "_regex"], str)
