"""Where a project's ASGI app is: the one that `manage.py` and the server are to agree on."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, NamedTuple

from django.core.management.base import CommandError
from django.utils.module_loading import module_has_submodule
from starlette.types import ASGIApp

from djfast_mount.checks.application import named_application, refusal
from djfast_mount.routing.root_interface import Root

__all__ = ["Project", "find_root", "load_project"]

_NAMES = ("app", "application")


class Project(NamedTuple):
    """The ASGI app of a project."""

    target: str
    """The import string that a server takes: ``mysite.asgi:app``."""
    app: ASGIApp
    root: Root | None
    """What `mount()` returned; None where it cannot be found below what is wrapped around it."""


def load_project() -> Project:
    """Imports the app that ``settings.ASGI_APPLICATION`` names or, where it is not set, asgi.py beside the settings.

    Raises: CommandError, also where `mount()` refuses what it is given. What asgi.py raises itself goes through.
    """
    module_name, name = _target()
    # A system check may have met an error already, and a second import could end in another one.
    if (error := refusal()) is not None:
        raise CommandError(str(error)) from error
    module = importlib.import_module(module_name)
    app = _attribute(module, name)
    return Project(f"{module_name}:{name or _name_of(module, app)}", app, _root_in(app, module))


def find_root() -> Root:
    """Returns what `mount()` returned in the project. Raises: CommandError."""
    project = load_project()
    if project.root is None:
        raise CommandError(
            f"{project.target} is {project.app!r}, in which no app of mount() can be found. Keep what mount() returns "
            "in a variable of that module, whatever you wrap around it."
        )
    return project.root


def _target() -> tuple[str, str]:
    """The module, and the name in it; the empty string where it is to be found."""
    module_name, name = named_application()
    if module_name:
        return module_name, name
    raise CommandError(
        "There is no asgi.py beside the settings or the URLconf. Write one with mount() in it, or name the app: "
        'ASGI_APPLICATION = "mysite.asgi.app".'
    )


def _attribute(module: ModuleType, name: str) -> Any:
    for candidate in (name,) if name else _NAMES:
        if (app := getattr(module, candidate, None)) is not None:
            return app
    sought = " or ".join(map(repr, [name] if name else _NAMES))
    if name and module_has_submodule(module, name):
        named = f"{module.__name__}.{name}"
        raise CommandError(
            f'ASGI_APPLICATION = "{named}" names a module. Name the app in it: ASGI_APPLICATION = "{named}.app".'
        )
    raise CommandError(
        f"{module.__name__} has no {sought}. Write there app = mount(...), or "
        f'name the app: ASGI_APPLICATION = "{module.__name__}.app".'
    )


def _name_of(module: ModuleType, app: object) -> str:
    return next(name for name in _NAMES if getattr(module, name, None) is app)


def _root_in(app: object, module: ModuleType) -> Root | None:
    if isinstance(app, Root):
        return app
    # What mount() returned may stand inside of another ASGI app, of which nothing is known.
    return next((found for found in vars(module).values() if isinstance(found, Root)), None)
