"""The routes of FastAPI and Starlette apps as patterns of Django's URL resolver, for their names.

1. No path is resolved by them: that is for the apps to do.
2. A value is checked as the app would check it: by the convertor in the path, ``{id:int}``, and by the annotation of
   the endpoint's parameter, ``id: int``. Constraints beyond the type, as ``Path(ge=1)``, are not looked at.
3. Of two routes with the same name and parameters the first one counts, as in Starlette.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cached_property, partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RegexPattern
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from pydantic import TypeAdapter
from starlette.convertors import Convertor
from starlette.routing import BaseRoute, Mount, compile_path

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.inner_app import unwrapped
from djfast_mount.routing.prefixes import namespace_of
from djfast_mount.url_names import names as url_names

__all__ = ["register"]


def register(apps: Mapping[str, object], django_prefix: str = "") -> None:
    """Makes the names of `apps`, by prefix, known to Django's `reverse`. Called by `mount()`.

    Args:
        django_prefix: The prefix of Django's half; the empty string: none.

    Raises: ConfigurationError, when two prefixes have one namespace.
    """
    seen: dict[str, str] = {}
    for prefix in apps:
        twin = seen.setdefault(namespace_of(prefix), prefix)
        if twin != prefix:
            raise ConfigurationError(
                f"The prefixes {twin!r} and {prefix!r} have one namespace, {namespace_of(prefix)!r}, for the names of "
                "their endpoints. Rename one."
            )
    url_names.register(partial(_namespaces, dict(apps)), django_prefix)


def _namespaces(apps: Mapping[str, object]) -> list[URLResolver]:
    return [
        _namespace(namespace_of(prefix), _Pattern(re.escape(prefix[1:])), routes, at_root=not prefix)
        for prefix, app in apps.items()
        if (routes := getattr(unwrapped(app), "routes", None)) is not None
    ]


def _namespace(
    name: str | None, pattern: RegexPattern, routes: Iterable[BaseRoute], *, at_root: bool = False
) -> URLResolver:
    return URLResolver(pattern, _patterns(routes, at_root), app_name=name, namespace=name)


def _patterns(routes: Iterable[BaseRoute], at_root: bool) -> list[URLPattern | URLResolver]:
    # Django looks at the last one first.
    contexts = iter_route_contexts(list(routes))
    # Its resolver goes through the patterns backwards (`_populate()`), where Starlette takes the first route.
    return [pattern for context in contexts for pattern in _patterns_of(context, at_root)][::-1]


def _patterns_of(context: Any, at_root: bool) -> Iterator[URLPattern | URLResolver]:
    route = context.original_route
    if isinstance(route, Mount):
        yield from _patterns_of_mount(route, context.path, context.name, at_root)
    elif context.name and context.path is not None:
        yield _named(context.path, context.name, _annotations(getattr(context, "dependant", None)), at_root)


def _patterns_of_mount(route: Mount, path: str, name: str | None, at_root: bool) -> Iterator[URLPattern | URLResolver]:
    if routes := getattr(unwrapped(route.app), "routes", None):
        regex, converters = _compiled(path or "/", {})
        regex = _below(regex.removesuffix("$").removesuffix("/"), at_root)
        yield _namespace(name or None, _Pattern(regex, converters=converters), routes, at_root=at_root and not regex)
    if name:
        yield _named(f"{path}/{{path:path}}", name, {}, at_root)


def _below(regex: str, at_root: bool) -> str:
    # As Django wants it: the script prefix, which stands before the patterns at the root, ends with a slash.
    return regex.removeprefix("/") if at_root else regex


def _named(path: str, name: str, annotations: Mapping[str, Any], at_root: bool) -> URLPattern:
    regex, converters = _compiled(path, annotations)
    regex = _below(regex, at_root)
    return URLPattern(_Pattern(regex, name, converters), _never_called, name=name)


def _compiled(path: str, annotations: Mapping[str, Any]) -> tuple[str, dict[str, _Converter]]:
    # Starlette's own function, so that both sides mean the same by a path.
    regex, _, convertors = compile_path(path)
    return regex.pattern.removeprefix("^"), {
        name: _Converter(convertor, annotations.get(name, str)) for name, convertor in convertors.items()
    }


def _annotations(dependant: Dependant | None) -> dict[str, Any]:
    """The types that the path's parameters have in the endpoint and its dependencies."""
    if dependant is None:
        return {}
    found = {name: kind for below in dependant.dependencies for name, kind in _annotations(below).items()}
    return found | {field.alias: field.field_info.annotation for field in dependant.path_params}


class _Pattern(RegexPattern):
    """A path with converters of our own."""

    def __init__(self, regex: str, name: str | None = None, converters: Mapping[str, _Converter] | None = None) -> None:
        super().__init__(regex, name)
        self.converters = dict(converters or {})


class _Converter:
    """Django's converter of one parameter of a path."""

    def __init__(self, convertor: Convertor[Any], annotation: Any) -> None:
        self._convertor = convertor
        self._annotation = annotation
        self.regex = convertor.regex

    @cached_property
    def _type(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._annotation)

    def to_url(self, value: Any) -> str:
        """Returns the text of `value`. Raises ValueError where the app would not take it."""
        if isinstance(value, Enum):
            value = value.value
        try:
            # Starlette checks by assert, which Python leaves out under `-O`: the regular expression below holds there,
            # too.
            text = self._convertor.to_string(value)
        except (AssertionError, TypeError) as error:
            raise ValueError(str(error)) from error
        if not re.fullmatch(self.regex, text):
            raise ValueError(f"{text!r} does not match {self.regex!r}.")
        # A `{id}` is any text to the path; `id: int` of the endpoint is what refuses `abc` with a 422. No such URL is
        # made.
        if self._annotation is not str:
            self._type.validate_python(text)
        return text


def _never_called(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("This pattern stands for a name of a mounted app; no path is resolved by it.")
