"""System checks of where things stand: what the settings say against the prefixes of the apps and of Django.

They look at what `mount()` was given, where it has run in this process, as for the doctor; else at the settings alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.urls import get_resolver

from djfast_mount.conf import SETTING
from djfast_mount.routing.django_views import has_view
from djfast_mount.routing.placement import Placement, outer_of, placements

__all__ = ["check_placements"]

_LITERALS = ("LOGIN_URL", "LOGIN_REDIRECT_URL", "LOGOUT_REDIRECT_URL")
_COOKIE_PATHS = ("SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH")
# A path that no project has: what is answered for it is answered for any path.
_NOBODYS = "/djfast-mount-check/nobody-has-this/"


def check_placements(**_: object) -> list[CheckMessage]:
    """E031, W031 to W036: what the settings say of paths fits the prefixes, and nothing hides what is behind it."""
    return list(_messages(placements[-1] if placements else _by_settings()))


def _by_settings() -> Placement:
    options = getattr(settings, SETTING, {})
    options = options if isinstance(options, dict) else {}
    prefix = options.get("prefix", "/api")
    prefixes = prefix if isinstance(prefix, Mapping) else [prefix]  # Another check reports a value of any other type.
    apps = {"" if path == "/" else str(path): None for path in prefixes}
    return Placement(apps, str(options.get("django_prefix", "")), bool(options.get("fallthrough")), ())


def _messages(placement: Placement) -> Iterator[CheckMessage]:
    if placement.django_prefix:
        yield from _check_script_name(placement.django_prefix)
        yield from _check_literals(placement)
    yield from _check_cookies(placement)
    if placement.fallthrough:
        yield from _check_catch_alls(placement)
    else:
        yield from _check_hidden(placement)
    yield from _check_twice(placement)
    yield from _check_health(placement)


def _check_script_name(django_prefix: str) -> Iterator[CheckMessage]:
    script_name = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
    if script_name and not script_name.endswith(django_prefix):
        yield checks.Error(
            f"settings.FORCE_SCRIPT_NAME is {script_name!r}, and Django stands under {django_prefix!r}.",
            hint=f"It is the outer prefix and Django's: write {script_name + django_prefix!r}.",
            id="djfast_mount.E031",
        )


def _check_literals(placement: Placement) -> Iterator[CheckMessage]:
    prefix = placement.django_prefix
    for name in _LITERALS:
        url = str(getattr(settings, name) or "")
        path = urlsplit(url).path
        if not url.startswith("/") or urlsplit(url).netloc or f"{prefix}/" in f"{path}/":
            continue
        # Of the defaults, which are literal, few projects have the page.
        # Django's defaults (`/accounts/login/`) stand in every project. To warn of them would be noise.
        if not has_view(path) and (not settings.is_overridden(name) or _taken_by_an_app(placement, path)):
            continue
        yield checks.Warning(
            f"settings.{name} is {url!r}, and Django stands under {prefix!r}.",
            hint=f"Write the name of the view, which gets the prefix by itself, or {prefix + path!r}.",
            id="djfast_mount.W031",
        )


def _taken_by_an_app(placement: Placement, path: str) -> bool:
    app = placement.apps.get("")
    return app is not None and app.taking(path) is not None


def _check_cookies(placement: Placement) -> Iterator[CheckMessage]:
    outer = outer_of(settings.FORCE_SCRIPT_NAME or "", placement.django_prefix)
    for name in _COOKIE_PATHS:
        path = getattr(settings, name).rstrip("/")
        for prefix in placement.apps:
            # RFC 6265, section 5.1.4: a cookie's path matches at segment boundaries.
            if not path or _reaches(path, outer + prefix) or not _is_djangos(path.removeprefix(outer), placement):
                continue
            yield checks.Warning(
                f"settings.{name} is {path!r}, and an API stands under {outer + prefix or '/'!r}: browsers do not send "
                "it the cookie.",
                hint=f"Leave it out, or set it to {outer or '/'!r}.",
                id="djfast_mount.W032",
            )


def _reaches(cookie_path: str, path: str) -> bool:
    return f"{path}/".startswith(f"{cookie_path}/")


def _is_djangos(path: str, placement: Placement) -> bool:
    """Whether `path` is one of the site's, and not an outer prefix, of which the settings need not tell."""
    prefix = placement.django_prefix
    return _reaches(prefix, path) if prefix else has_view(f"{path}/")


def _check_catch_alls(placement: Placement) -> Iterator[CheckMessage]:
    for prefix, app in placement.apps.items():
        if app is not None and (route := app.taking(_NOBODYS)) is not None:
            yield checks.Warning(
                f"The app at {prefix or '/'!r} has a route for every path, {route!r}: nothing falls through to Django.",
                hint="Take the route out, or give Django a prefix of its own: django_prefix.",
                id="djfast_mount.W033",
            )


def _check_hidden(placement: Placement) -> Iterator[CheckMessage]:
    """W035: what Django has under the prefix of an app is never reached."""
    theirs = [placement.django_prefix + path for path in _paths_of(_patterns(), "/")]
    static = urlsplit(settings.STATIC_URL or "")
    if static.path and not static.netloc:
        theirs.append(static.path if static.path.startswith("/") else f"{placement.django_prefix}/{static.path}")
    for prefix in filter(None, placement.apps):
        hidden = next((path for path in theirs if _reaches(prefix, path)), None)
        if hidden is not None:
            yield checks.Warning(
                f"The app at {prefix!r} owns every path below, and Django has {hidden!r} there, which nobody reaches.",
                hint="Give the app another prefix, or mount() fallthrough=True: the app's routes first, then Django's.",
                id="djfast_mount.W035",
            )


def _patterns() -> Sequence[Any]:
    try:
        return get_resolver().url_patterns if getattr(settings, "ROOT_URLCONF", None) else ()
    except Exception:  # A URLconf that cannot be imported is told by Django's own checks.
        return ()


def _paths_of(patterns: Sequence[Any], path: str) -> Iterator[str]:
    """The beginnings of Django's paths, up to what is no plain text."""
    for pattern in patterns:
        # The plain beginning is enough: a prefix hides whatever starts with it.
        text = re.split(r"[<(\\[.?*+$]", str(pattern.pattern).removeprefix("^"), maxsplit=1)[0]
        if text or not hasattr(pattern, "url_patterns"):
            yield path + text
        else:
            yield from _paths_of(pattern.url_patterns, path)


def _check_twice(placement: Placement) -> Iterator[CheckMessage]:
    """W036: the routes of an app do not hold its prefix themselves."""
    for prefix, app in placement.apps.items():
        paths = app.paths() if app is not None and prefix else ()
        twice = next((path for path in paths if _reaches(prefix, path)), None)
        if twice is not None:
            yield checks.Warning(
                f"The app at {prefix!r} has the route {twice!r}, which is served at {prefix + twice!r}.",
                hint=f"Take {prefix!r} off the routes, the router's prefix= or the app's own mounts: mount() adds it.",
                id="djfast_mount.W036",
            )


def _check_health(placement: Placement) -> Iterator[CheckMessage]:
    app = placement.apps.get("")
    for path in placement.health:
        if app is not None and (route := app.taking(path)) == path:
            yield checks.Warning(
                f"The app at '/' has the route {route!r}, which is answered as a health path before it.",
                hint=f"Rename the route, or set settings.{SETTING}['health_path'] or ['ready_path'].",
                id="djfast_mount.W034",
            )
