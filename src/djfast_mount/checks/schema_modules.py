"""The `schemas` modules of installed apps: what does not fit the models is told before anything is served."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.core.checks import CheckMessage
from django.utils.module_loading import module_has_submodule

from djfast_mount.checks.wording import as_check
from djfast_mount.exceptions import ConfigurationError

__all__ = ["check_schemas", "load_schemas"]

logger = logging.getLogger("djfast_mount")


def check_schemas(**_: object) -> Iterator[CheckMessage]:
    """E041: the schemas in the ``schemas`` module of an installed app fit their models."""
    for module, error in load_schemas():
        yield as_check(error, "djfast_mount.E041", module)


def load_schemas() -> Iterator[tuple[str, ConfigurationError]]:
    """Imports the ``schemas`` modules that use `djfast_mount.schemas`. Yields those that do not fit, with the error.

    Other faults of theirs are told where they are imported in earnest.
    """
    for config in apps.get_app_configs():
        module: str = f"{config.name}.schemas"
        # The package is an app itself, and its `schemas` is what others use.
        if config.name != "djfast_mount" and module_has_submodule(config.module, "schemas") and _uses_schemas(module):
            try:
                import_module(module)
            except ConfigurationError as error:
                yield module, error
            except Exception:
                logger.debug("%s cannot be imported.", module, exc_info=True)


def _uses_schemas(module: str) -> bool:
    found = find_spec(module)
    file = Path(found.origin) if found is not None and found.origin else None
    # `schemas.py` is a common name (marshmallow, ninja, strawberry): others' modules are not imported for a check.
    return file is not None and file.suffix == ".py" and b"djfast_mount.schemas" in file.read_bytes()
