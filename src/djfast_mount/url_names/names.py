"""The names of the mounted apps, where Django's own `reverse` and ``{% url %}`` look names up.

Django's `reverse` asks `get_resolver`, a global name of django.urls.base, for the resolver of a URLconf. A stand-in for
it is set there once. It answers with Django's resolver, and the mounted apps' names beside its own.

1. Names only: which view answers a path, the system checks and the page of a 404 ask Django's own resolver, which is
   never changed.
2. It holds for every URLconf, a request's own included, and outlives `clear_url_caches()`.
3. Where a namespace of Django's has the same name, both are found in it, the mounted app's names first.
4. Where nothing has been mounted, as in a management command or a task, ``settings.ASGI_APPLICATION`` is imported when
   a namespace is asked for that Django does not know.

5. Where Django has a prefix of its own, its script prefix is the outer prefix and that one. An endpoint is not below
   it: so a second stand-in there, for `get_script_prefix`, gives `reverse` the outer prefix alone, and Django's names
   have Django's prefix in front. Outside of a request no script prefix is known, and Django's names stay as they are.

All names used are public. A canary test holds Django's `reverse` to asking django.urls.base.get_resolver, and for the
script prefix django.urls.base.get_script_prefix.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.urls import ResolverMatch, URLPattern, URLResolver, base, get_script_prefix
from django.urls.resolvers import RegexPattern, get_resolver
from django.utils.translation import get_language

__all__ = ["api_namespaces", "import_application", "install", "known_names", "outer_prefix", "register"]

Source = Callable[[], Sequence[URLResolver]]


class _Mounted:
    """What has been mounted, and the resolvers made of it."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self.django_prefix = ""
        self._resolvers: tuple[URLResolver, ...] | None = None
        self.combined: WeakKeyDictionary[URLResolver, dict[tuple[str | None, bool], URLResolver]] = WeakKeyDictionary()
        self.alone = URLResolver(RegexPattern(r"^/"), [])

    def put(self, source: Source, django_prefix: str) -> None:
        self.source = source
        self.django_prefix = django_prefix
        self._resolvers = None
        # Tables are kept by Django's resolver. Those of an earlier mount(), of another test say, would go on to be
        # found.
        self.combined.clear()

    @property
    def resolvers(self) -> tuple[URLResolver, ...]:
        # Made when a name is asked for, for routes may be added until then.
        if self._resolvers is None:
            self._resolvers = () if self.source is None else tuple(self.source())
        return self._resolvers


_mounted = _Mounted()


def register(source: Source, django_prefix: str = "") -> None:
    """Makes the namespaces that `source` returns, one resolver each, known to Django. Called by `mount()`.

    A later call takes the place of an earlier one.

    Args:
        django_prefix: The prefix of Django's half; the empty string: none.
    """
    _mounted.put(source, django_prefix)
    install()


def install() -> None:
    """Sets the stand-ins. A second call changes nothing."""
    # `reverse()` looks the name up with each call. Code that has imported the function from there has Django's own.
    base.get_resolver = _resolver_of  # type: ignore[attr-defined]
    base.get_script_prefix = outer_prefix


def outer_prefix() -> str:
    """Returns the script prefix without Django's own prefix, if it has one: it ends with a slash, as Django's does."""
    prefix = get_script_prefix()
    return prefix.removesuffix(f"{_mounted.django_prefix[1:]}/") if _is_in_djangos_prefix() else prefix


def _is_in_djangos_prefix() -> bool:
    return bool(_mounted.django_prefix) and get_script_prefix().endswith(f"{_mounted.django_prefix}/")


def api_namespaces() -> list[str]:
    """Returns the namespaces of the mounted apps, in the order of `mount()`."""
    if _mounted.source is None:
        import_application()
    return [str(resolver.namespace) for resolver in _mounted.resolvers]


def known_names() -> list[str]:
    """Returns every name that `reverse` knows, with its namespaces: of the mounted apps and the URLconf in force."""
    api_namespaces()
    return list(dict.fromkeys(_names_in(_resolver_of(base.get_urlconf()), "")))


def _names_in(resolver: URLResolver, namespace: str) -> list[str]:
    found = [f"{namespace}{name}" for name in resolver.reverse_dict if isinstance(name, str)]
    for name, (_, below) in resolver.namespace_dict.items():
        found += _names_in(below, f"{namespace}{name}:")
    return found


def _resolver_of(urlconf: Any = None) -> URLResolver:
    """The stand-in for Django's `get_resolver`."""
    django = _djangos(urlconf)
    if _mounted.source is None and not _application():
        return django
    # By language, as Django's own tables are: a namespace may stand under a language's prefix.
    by_language = _mounted.combined.setdefault(django, {})
    key = get_language(), _is_in_djangos_prefix()
    if key not in by_language:
        waits = _mounted.source is None
        by_language[key] = _Waiting(urlconf, django.url_patterns) if waits else _combined(urlconf, django)
    return by_language[key]


def _djangos(urlconf: Any) -> URLResolver:
    if urlconf is None and getattr(settings, "ROOT_URLCONF", None) is None:
        return _mounted.alone  # mount(django=False) needs no URLconf.
    return get_resolver(urlconf)


class _Root(URLResolver):
    """Knows the names of `patterns`. Paths it has Django's own resolver resolve."""

    def __init__(self, urlconf: Any, patterns: Sequence[URLPattern | URLResolver]) -> None:
        super().__init__(RegexPattern(r"^/"), patterns)
        self._urlconf = urlconf

    def resolve(self, path: Any) -> ResolverMatch:
        return _djangos(self._urlconf).resolve(path)


def _combined(urlconf: Any, django: URLResolver) -> URLResolver:
    theirs: list[URLPattern | URLResolver] = list(django.url_patterns)
    if _is_in_djangos_prefix():
        theirs = [URLResolver(RegexPattern(re.escape(f"{_mounted.django_prefix[1:]}/")), theirs)]
    root = _Root(urlconf, [*theirs, *_mounted.resolvers])
    merged = [_merged(root, resolver) for resolver in _mounted.resolvers]
    return _Root(urlconf, [*merged, *theirs]) if merged != list(_mounted.resolvers) else root


def _merged(root: URLResolver, resolver: URLResolver) -> URLResolver:
    """Returns `resolver`, with the names of Django's namespace that is called the same, if there is one."""
    name = str(resolver.namespace)
    prefix, found = root.namespace_dict[name]
    if found is resolver:
        others = [other for other in root.app_dict[name] if other != name]
        if not others:
            return resolver
        prefix, found = root.namespace_dict[others[0]]
    theirs = RegexPattern(prefix)
    theirs.converters = dict(found.pattern.converters)
    # Django looks at the last resolver first.
    both = [URLResolver(theirs, found.url_patterns), URLResolver(resolver.pattern, resolver.url_patterns)]
    return URLResolver(RegexPattern(""), both, app_name=name, namespace=name)


class _Waiting(_Root):
    """Django's names, as long as nothing has been mounted."""

    @property
    def namespace_dict(self) -> dict[str, tuple[str, URLResolver]]:
        return _Namespaces(super().namespace_dict)


class _Namespaces(dict[str, tuple[str, URLResolver]]):
    def __missing__(self, namespace: str) -> tuple[str, URLResolver]:
        import_application()
        for resolver in _mounted.resolvers:
            if resolver.namespace == namespace:
                return resolver.pattern.regex.pattern, resolver
        raise KeyError(namespace)


def _application() -> str:
    return getattr(settings, "ASGI_APPLICATION", None) or ""


def import_application() -> None:
    """Imports ``settings.ASGI_APPLICATION``, which mounts what it mounts, where it is set and has not been imported."""
    path = _application()
    module = path.partition(":")[0] if ":" in path else path.rpartition(".")[0]
    # If the module was imported already, it has mounted nothing. If it is being imported now, it is going to.
    if module and module not in sys.modules:
        # Once: a module that fails stays out of sys.modules, and its error is shown to the one who asked for the name.
        import_module(module)
