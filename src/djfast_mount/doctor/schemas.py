"""Schemas of models: which way each is read, and why."""

from __future__ import annotations

from collections.abc import Iterator

from django.core import checks
from django.core.checks import CheckMessage
from pydantic.errors import PydanticUndefinedAnnotation

from djfast_mount.checks.schema_modules import load_schemas
from djfast_mount.checks.wording import as_check
from djfast_mount.doctor.target import Target
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.reading.ways import explain
from djfast_mount.schemas.starting_schemas import all_schemas

__all__ = ["probe_schemas"]


def probe_schemas(target: Target) -> Iterator[CheckMessage]:
    """D141, E141: of each schema that the project has declared, by its API or in the ``schemas`` module of an app."""
    list(load_schemas())  # E041 tells what is wrong with them.
    for schema in sorted(all_schemas(), key=lambda schema: (schema.__module__, schema.__qualname__)):
        try:
            way, *queries = explain(schema).splitlines()
        except (ConfigurationError, PydanticUndefinedAnnotation) as error:
            hint = "Declare what it names before its first use, or import it in its module."
            yield as_check(error, "djfast_mount.E141", otherwise=hint)
        else:
            hint = "\n    ".join(line.removeprefix("  ") for line in queries)
            yield checks.Debug(way, hint=hint, obj=schema.__module__, id="djfast_mount.D141")
