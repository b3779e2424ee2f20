"""Where Django's half stands beside the apps: at the root of the host, behind an API's routes, or under its own prefix.

1. One app may have the root, ``"/"``. Django then has a prefix of its own, or stands behind the routes of that app.
2. Django's prefix is its script name. `settings.FORCE_SCRIPT_NAME` is that name as a whole: the outer prefix, then
   Django's.
3. Static files and health paths are asked for before an app at the root and before Django.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from django.conf import settings

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.prefixes import has_control_character

__all__ = ["Placement", "RoutesOf", "check_placement", "fault_of_path", "note_placement", "outer_of", "placements"]


class RoutesOf(NamedTuple):
    """What can be asked of an app, of paths inside of it."""

    taking: Callable[[str], str | None]
    """The path of the route that takes a path, if any does."""
    paths: Callable[[], list[str]]
    """The paths of all routes."""


class Placement(NamedTuple):
    """Where what `mount()` joined stands."""

    apps: Mapping[str, RoutesOf | None]
    """By prefix, the empty string for the root: what can be asked of the app. None where it has not been loaded."""
    django_prefix: str
    fallthrough: bool
    health: tuple[str, ...]
    """The paths that are answered before all apps."""


placements: list[Placement] = []
"""That of the last `mount()` in this process, for the system checks; none before it. Start-up runs on one thread."""


def note_placement(placement: Placement) -> None:
    """Remembers what `mount()` has done. A later call takes the place of an earlier one."""
    placements[:] = [placement]


def check_placement(prefixes: Collection[str], *, django: bool, django_prefix: str, fallthrough: bool) -> None:
    """Raises ConfigurationError where Django's half has no place, or two.

    Args:
        prefixes: Those of the apps; the empty string is the root.
        django: Whether there is a Django half.
        django_prefix: Its prefix; the empty string: none.
        fallthrough: Whether it answers what no route of an app matches.
    """
    if django_prefix:
        given = f"mount() got django_prefix={django_prefix!r}"
        if not django:
            raise ConfigurationError(
                f"{given} and django=False: there is no Django to put there. Leave one of them out."
            )
        if fallthrough:
            raise ConfigurationError(
                f"{given} and fallthrough=True: Django would stand in two places. Leave one of them out."
            )
        _check_prefix(prefixes, django_prefix, given)
    elif "" in prefixes and django and not fallthrough:
        raise ConfigurationError(
            'mount() got an app for "/", which would leave no path to Django. Give Django a prefix, '
            'mount("/", app, django_prefix="/server"), or what no route of the app matches, '
            'mount("/", app, fallthrough=True).'
        )


def _check_prefix(prefixes: Collection[str], django_prefix: str, given: str) -> None:
    if not django_prefix.strip("/"):
        raise ConfigurationError(f'{given}. Name a path, such as "/server", or leave it out.')
    if fault := fault_of_path(django_prefix):
        raise ConfigurationError(f"{given}, which {fault}")
    if django_prefix in prefixes:
        raise ConfigurationError(f"{given}, which is the prefix of an app as well. Rename one.")
    script_name = settings.FORCE_SCRIPT_NAME or ""
    whole = script_name.rstrip("/")
    if whole and not whole.endswith(django_prefix):
        raise ConfigurationError(
            f"{given}, and settings.FORCE_SCRIPT_NAME is {script_name!r}: Django's script name ends with its prefix. "
            f"Write FORCE_SCRIPT_NAME = {whole + django_prefix!r}."
        )


def fault_of_path(prefix: str) -> str:
    """Returns what is wrong with `prefix` and what to write instead, or the empty string."""
    if not prefix.startswith("/"):
        return f"does not start with a slash. Write {'/' + prefix.strip('/')!r}."
    # The prefix owns its path with and without the last slash, as no redirect is made at the root.
    if prefix.endswith("/"):
        return f"ends with a slash. Write {prefix.rstrip('/')!r}; it serves both forms."
    # The path of a scope is decoded: `%20` in a prefix would wait for a path that no server hands on.
    if has_control_character(prefix) or any(character in prefix for character in "?#%{}\\ "):
        return "is compared with the decoded path as it stands: no pattern, escape, space or query. Use plain segments."
    if any(segment in ("", ".", "..") for segment in prefix.split("/")[1:]):
        return "has an empty or a dot segment, which no client would send. Leave it out."
    return ""


def outer_of(script_name: str, django_prefix: str) -> str:
    """Returns the outer prefix that FORCE_SCRIPT_NAME, which ends with Django's prefix, holds: without a last slash."""
    return script_name.rstrip("/").removesuffix(django_prefix)
