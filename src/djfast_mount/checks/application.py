"""The project's ASGI app, as the checks see it: what `mount()` refuses is told before anything is served.

1. ``manage.py check`` does not import the app. It runs before most commands, and each would wait for FastAPI and for
   all that the API imports. ``check --deploy`` does, and so do the commands that look at the app.
2. The app is imported once. A second import would meet what the first has left, such as registered routers, and fail in
   another way.
3. What else its import raises is raised where the app is meant: an asgi.py that was only found may not be in use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module

from django.conf import settings
from django.core.checks import CheckMessage
from django.utils.module_loading import module_has_submodule

from djfast_mount.checks.placements import check_placements
from djfast_mount.checks.wording import as_check
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.placement import placements

__all__ = ["check_application", "check_deployed_application", "named_application", "refusal"]

_errors: dict[str, Exception | None] = {}


def check_application(**_: object) -> list[CheckMessage]:
    """What `check_placements()` tells, and E042 where a command such as the doctor has imported the application."""
    return [*(_refused() if _is_known() else ()), *check_placements()]


def check_deployed_application(**_: object) -> list[CheckMessage]:
    """E042, and what `check_placements()` tells, of the application that is deployed. What is told already is not told
    again.

    Raises: What else the import of ``settings.ASGI_APPLICATION`` raises: no server would start it.
    """
    if placements or _is_known():
        return []
    told = check_placements()
    if getattr(settings, "ASGI_APPLICATION", None):
        refusal()
    return [*_refused(), *(message for message in check_placements() if message not in told)]


def refusal() -> ConfigurationError | None:
    """Imports the module of the ASGI app, and returns why `mount()` refused it. A second call imports nothing.

    Raises: What else the import raises; a second call, the same again.
    """
    error = _error()
    if error is None or isinstance(error, ConfigurationError):
        return error
    raise error


def named_application() -> tuple[str, str]:
    """Returns the module of the ASGI app, and the name in it: what ``settings.ASGI_APPLICATION`` says or, where it is
    not set, asgi.py beside the settings. The name is the empty string where it is to be found; so is a module that
    there is not.
    """
    named = getattr(settings, "ASGI_APPLICATION", None)
    if named:
        # Django and daphne write a dot, uvicorn and gunicorn a colon.
        module_name, _, name = named.rpartition(":" if ":" in named else ".")
        return module_name, name
    # `django-admin startproject` puts asgi.py beside settings.py.
    for package in dict.fromkeys(_packages()):
        if module_has_submodule(import_module(package), "asgi"):
            return f"{package}.asgi", ""
    return "", ""


def _named_module() -> str:
    return named_application()[0]


def _is_known() -> bool:
    return _named_module() in _errors


def _refused() -> Iterator[CheckMessage]:
    error = _error()
    if isinstance(error, ConfigurationError):
        yield as_check(error, "djfast_mount.E042", _named_module())


def _error() -> Exception | None:
    module = _named_module()
    if module not in _errors:
        _errors[module] = _error_of(module)
    return _errors[module]


def _error_of(module: str) -> Exception | None:
    # One that is being imported calls `mount()` yet, or has called it.
    if not module or module in sys.modules:
        return None
    try:
        import_module(module)
    except Exception as error:
        return error
    return None


def _packages() -> Iterator[str]:
    """Those that hold the settings and the URLconf, the nearest first: settings may lie in a package of their own."""
    for name in ("SETTINGS_MODULE", "ROOT_URLCONF"):
        module = getattr(settings, name, None)
        package = module if isinstance(module, str) else ""
        while "." in package:
            package = package.rpartition(".")[0]
            yield package
