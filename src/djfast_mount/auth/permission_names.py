"""Whom dependencies let pass, and the names of Django's permissions: which there are, and what a wrong one meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_permission_codename

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = [
    "audience_of",
    "check_permission",
    "check_spelling",
    "note_asker",
    "note_audience",
    "permissions_asked_by",
]

# Backends that know no permissions but those of the models and of the table.
_DJANGO_BACKENDS = {
    f"django.contrib.auth.backends.{name}"
    for name in ("AllowAllUsersModelBackend", "AllowAllUsersRemoteUserBackend", "ModelBackend", "RemoteUserBackend")
}
_seen: set[str] = set()  # the names that the table has been found to hold
_AUDIENCES = ("optional user", "user", "staff", "superuser")  # The strictest comes last.
# Not as attributes of the functions: these are public, and their users would take such a name for a part of them.
_audiences: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()
_askers: WeakKeyDictionary[Callable[..., Any], tuple[str, ...]] = WeakKeyDictionary()


def note_audience(dependency: Callable[..., Any], audience: str) -> None:
    """Remembers that `dependency` is for `audience`, one of `_AUDIENCES`."""
    _audiences[dependency] = audience


def audience_of(dependencies: Iterable[object]) -> list[str]:
    """Returns the strictest audience that any of `dependencies` is for; none where no such dependency is among them."""
    found = {_audiences.get(dependency, "") for dependency in dependencies if inspect.isfunction(dependency)}
    return [audience for audience in _AUDIENCES if audience in found][-1:]


def note_asker(dependency: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Remembers that `dependency` asks for the permissions `names`."""
    _askers[dependency] = names


def permissions_asked_by(dependency: object) -> tuple[str, ...]:
    """Returns the permissions that a dependency made by `require_perm` asks for; of any other, none."""
    return _askers.get(dependency, ()) if inspect.isfunction(dependency) else ()


def check_spelling(name: object) -> None:
    """Raises ConfigurationError when `name` cannot be a permission's. Asks no database."""
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f'require_perm() got {name!r}. Name a permission, as in "shop.change_item".')
    if "." not in name and _only_django():
        raise ConfigurationError(f'require_perm() got {name!r}, without an app: write "app.codename".{_meant(name)}')


def check_permission(name: str) -> None:
    """Raises ConfigurationError when nobody can have the permission `name`, as it does not exist.

    It exists when a model declares it or it is in the table, or may exist when a backend is not Django's own. The table
    is asked once for each name that no model declares. Runs on the request thread.
    """
    # A backend of a project's own may know permissions that stand nowhere.
    if name not in _declared() and _only_django() and not _in_table(name):
        raise ConfigurationError(
            f"require_perm() got {name!r}, and there is no such permission.{_meant(name)} If it is new, run migrate."
        )


def _in_table(name: str) -> bool:
    if name not in _seen:
        label, _, codename = name.partition(".")
        permissions = apps.get_model("auth", "Permission")._default_manager
        if not permissions.filter(content_type__app_label=label, codename=codename).exists():
            return False
        # Only what is there is kept: a permission that is missing may be made while the process runs.
        _seen.add(name)
    return True


def _only_django() -> bool:
    return set(settings.AUTHENTICATION_BACKENDS) <= _DJANGO_BACKENDS


@cache
def _declared() -> frozenset[str]:
    names = set()
    for model in apps.get_models():
        options = model._meta
        codenames = [get_permission_codename(action, options) for action in options.default_permissions]
        codenames += [codename for codename, _ in options.permissions]
        names |= {f"{options.app_label}.{codename}" for codename in codenames}
    return frozenset(names)


def _meant(name: str) -> str:
    return f" {did_you_mean(name, _declared(), most=3, alike=0.5)}".rstrip()
