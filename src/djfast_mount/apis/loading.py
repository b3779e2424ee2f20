"""From the arguments of `mount()` to ASGI apps: prefixes checked, import strings resolved, routers found."""

from __future__ import annotations

import inspect
import itertools
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from django.apps import apps as installed_apps
from django.utils.module_loading import module_has_submodule
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from djfast_mount.apis.tree import fastapis_in
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.placement import check_placement, fault_of_path

__all__ = ["discover_api", "load_app", "load_apps", "no_circle"]

# What mount() is importing just now. Start-up runs on one thread.
_importing: list[str] = []


@contextmanager
def no_circle(what: str) -> Iterator[None]:
    """Raises ConfigurationError when `mount()` is called by a module that `mount()` itself is importing."""
    if _importing:
        raise ConfigurationError(
            f"mount() was called while mount() was importing {_importing[-1]}: the two wait for each other. "
            "Call mount() in asgi.py only, and do not import asgi.py from a module of the API."
        )
    _importing.append(what)
    try:
        yield
    finally:
        _importing.pop()


def load_apps(
    prefix: str | Mapping[str, ASGIApp | str],
    app: ASGIApp | str | None,
    *,
    debug: bool,
    django: bool,
    django_prefix: str,
    fallthrough: bool,
) -> dict[str, ASGIApp]:
    """Returns the app of each prefix; the root, ``"/"``, is the empty string. Takes what `mount()` does.

    Raises: ConfigurationError, where something does not fit, or Django's half has no place beside the apps.

    Runs at start-up, after `django.setup()`.
    """
    if isinstance(prefix, str):
        targets: Mapping[str, ASGIApp | str | None] = {prefix: app}
    elif not isinstance(prefix, Mapping):
        raise ConfigurationError(
            f"mount() got {prefix!r} for the prefix. Give a path, or a mapping of paths to apps. "
            'The app is the second argument: mount("/api", app).'
        )
    elif app is None:
        targets = prefix
    else:
        raise ConfigurationError(
            f"mount() got a mapping of prefixes and the app {app!r} as well. Put the app into the mapping."
        )
    # Before anything is imported: a wrong prefix is told at once, and not after the import of a large project.
    _check_prefixes(list(targets))
    loaded: dict[str, ASGIApp] = {}
    for path, target in targets.items():
        app = discover_api(debug=debug) if target is None else load_app(target, f"prefix {path!r}")
        _check_root_path(path, app)
        loaded["" if path == "/" else path] = app
    check_placement(loaded, django=django, django_prefix=django_prefix, fallthrough=fallthrough)
    return loaded


def load_app(target: ASGIApp | str, purpose: str) -> ASGIApp:
    """Returns the ASGI app that `target` is or, as ``"module:attribute"``, names. `purpose` is for error messages."""
    app: Any = _import_app(target, purpose) if isinstance(target, str) else target
    _check_asgi(app, target, purpose)
    return app  # type: ignore[no-any-return]


def discover_api(*, debug: bool = False) -> FastAPI:
    """Returns a FastAPI with the ``router`` of every installed app's ``api.py``.

    Each is included under its own prefix or, where it has none, under ``/<app label>``, with the label as tag.

    Raises:
        ConfigurationError: No installed app has an ``api.py`` with a router, or a ``router`` is no APIRouter.
    """
    api = FastAPI(debug=debug)
    found = False
    for config in installed_apps.get_app_configs():
        # Asked first, so that an ImportError inside of an `api.py` is not taken for its absence.
        if not module_has_submodule(config.module, "api"):
            continue
        name = f"{config.name}.api"
        # The commonest circle: an `api.py` that imports the project's asgi.py for the app.
        with no_circle(repr(name)):
            router = getattr(import_module(name), "router", None)
        if router is None:
            continue
        if not isinstance(router, APIRouter):
            raise ConfigurationError(
                f"{name}.router is {router!r}, not a fastapi.APIRouter. Rename it, or make it one."
            )
        api.include_router(router, prefix="" if router.prefix else f"/{config.label}", tags=[config.label])
        found = True
    if not found:
        raise ConfigurationError(
            "mount() got no app, and no installed Django app has an api.py with a `router` in it. "
            'Name the app, as in mount("/api", "myproject.api:api"), or add such an api.py.'
        )
    return api


def _check_prefixes(prefixes: list[str]) -> None:
    if not prefixes:
        raise ConfigurationError('mount() got an empty mapping. Name a prefix, as in {"/api": "myproject.api:api"}.')
    seen: dict[str, str] = {}
    for prefix in prefixes:
        # `/api` and `/api/` are one to Starlette's Mount.
        twin = seen.setdefault(prefix.rstrip("/"), prefix)
        if twin != prefix:
            raise ConfigurationError(
                f"The prefixes {twin!r} and {prefix!r} are one: two apps cannot share it. Rename one."
            )
    for prefix in prefixes:
        if fault := _fault_of(prefix):
            raise ConfigurationError(f"The prefix {prefix!r} {fault}")


def _fault_of(prefix: str) -> str:
    """What is wrong with `prefix` and what to write instead, or the empty string."""
    if prefix == "/":
        return ""
    if not prefix.strip("/"):
        return 'is no path. Name one, such as "/api", or "/" for the root.'
    if ":" in prefix and not prefix.startswith("/"):
        return f'is no path. The app is the second argument: mount("/api", "{prefix}").'
    return fault_of_path(prefix)


def _check_root_path(prefix: str, app: ASGIApp) -> None:
    for found in fastapis_in(app):
        # FastAPI writes its own root_path over the scope's (fastapi.applications): every link and the docs would lose
        # the prefix.
        if found.app.root_path and not found.above:
            raise ConfigurationError(
                f"The FastAPI app at {prefix!r} has root_path={found.app.root_path!r} of its own, which would "
                "overwrite the prefix that mount() hands it. Remove root_path= from FastAPI(...)."
            )


def _import_app(target: str, purpose: str) -> object:
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigurationError(
            f'{target!r} for {purpose} is no import string. Write "module:attribute", as in "myproject.api:api".'
        )
    with no_circle(repr(target)):
        try:
            found: object = import_module(module_name)
        except ImportError as error:
            raise ConfigurationError(_import_failure(target, purpose, module_name, error)) from error
    # As uvicorn takes it: `module:factory.app`.
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise ConfigurationError(
                f"{target!r} for {purpose}: {found!r} has no attribute {name!r}. Name the variable that holds the app."
            ) from error
    return found


def _import_failure(target: str, purpose: str, module_name: str, error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and (module_name + ".").startswith(error.name + "."):
        remedy = "Check the spelling, and that the folder it lies in is on sys.path."
    elif _is_circular(error):
        remedy = "A module of the API imports one that is still being imported: do not import asgi.py from the API."
    else:
        remedy = f"The fault lies in what {module_name!r} imports."
    return f"{target!r} for {purpose} cannot be imported: {error!r}. {remedy}"


def _is_circular(error: ImportError) -> bool:
    """Whether a name was missing because its module was still being run."""
    # By the frames, as each Python words that error anew.
    above, below = traceback.walk_stack(None), traceback.walk_tb(error.__traceback__)
    return any(
        frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == error.name
        for frame, _ in itertools.chain(above, below)
    )


def _check_asgi(app: object, target: object, purpose: str) -> None:
    if isinstance(app, APIRouter):
        raise ConfigurationError(
            f"{target!r} for {purpose} is an APIRouter, which cannot be served alone. "
            "Include it in an app: api = FastAPI(); api.include_router(router)."
        )
    if inspect.isclass(app) and not hasattr(app, "__await__"):  # Starlette's endpoints are served as classes.
        raise ConfigurationError(f"{target!r} for {purpose} is the class {app.__qualname__}. Give an instance of it.")
    if not callable(app) or not _takes_three(app):
        raise ConfigurationError(
            f"{target!r} for {purpose} is no ASGI app but {app!r}. "
            "An ASGI app is called with (scope, receive, send); a WSGI app must be wrapped first, by a2wsgi for one."
        )


def _takes_three(app: Any) -> bool:
    try:
        # Whether it can be called so is all that can be asked of an ASGI app.
        inspect.signature(app).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # No signature to be had, as of a callable written in C.
        return True
    return True
