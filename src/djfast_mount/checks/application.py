"""The project's ASGI app, as the checks see it: what `mount()` refuses is told before anything is served.

1. ``manage.py check`` imports the app only where a module of the project mentions `djfast_mount.crud`: what is wrong
   with a `ModelRouter` may be known only when its routes are made. All else is looked at with ``--deploy``.
2. The app is imported once. A second import would meet what the first has left, such as registered routers, and fail in
   another way.
3. What else its import raises is raised where it is imported in earnest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.utils.module_loading import module_has_submodule

from djfast_mount.checks.placements import check_placements
from djfast_mount.checks.wording import as_check
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.placement import placements

__all__ = ["check_application", "check_deployed_application", "named_application", "refusal", "uses_routers"]

_MENTIONS = (b"djfast_mount.crud", b"djfast_mount import crud")
# They are imported by no server, and a project may have hundreds.
_LEFT_OUT = {"migrations", "tests"}
_errors: dict[str, Exception | None] = {}


def check_application(**_: object) -> list[CheckMessage]:
    """E042, and what `check_placements()` tells: the application of a project that has routers is one that starts."""
    asks = not placements and (_named_module() in _errors or uses_routers())
    return [*(_refused() if asks else ()), *check_placements()]


def check_deployed_application(**_: object) -> list[CheckMessage]:
    """The same, with ``--deploy``, of every project's application. What is told already is not told again."""
    if placements or _named_module() in _errors:
        return []
    told = check_placements()
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


def uses_routers() -> bool:
    """Returns whether a module of the project mentions `djfast_mount.crud`. It reads files, and imports nothing."""
    return any(mention in file.read_bytes() for file in _files() for mention in _MENTIONS)


def _named_module() -> str:
    return named_application()[0]


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


def _files() -> Iterator[Path]:
    """The modules of the project: its apps, and what lies beside the package of its ASGI app."""
    own = [config for config in apps.get_app_configs() if config.name.partition(".")[0] != "djfast_mount"]
    roots = [Path(config.path) for config in own if not _is_installed(Path(config.path))]
    top = _named_module().partition(".")[0]
    found = find_spec(top) if top else None
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent
        # A project that is installed has other people's packages beside it.
        is_alone = not found.submodule_search_locations or _is_installed(folder)
        roots.append(folder if is_alone else folder.parent)
    seen: set[Path] = set()
    for root in roots:
        yield from _modules_in(root, seen)


def _is_installed(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def _modules_in(folder: Path, seen: set[Path]) -> Iterator[Path]:
    if folder in seen or not folder.is_dir():
        return
    seen.add(folder)
    for path in folder.iterdir():
        if path.suffix == ".py":
            yield path
        # Packages alone: a project's folder may hold an environment, or what npm has installed.
        elif path.name not in _LEFT_OUT and (path / "__init__.py").is_file():
            yield from _modules_in(path, seen)
