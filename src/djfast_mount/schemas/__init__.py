"""Schemas of Django models: `ModelSchema`, what is made of it, and `Related` for plain Pydantic models."""

from djfast_mount.schemas.field_types import register
from djfast_mount.schemas.fields import Auto
from djfast_mount.schemas.invalid import InvalidRow
from djfast_mount.schemas.mapping import Caller, Orm, as_caller
from djfast_mount.schemas.model_schema import Create, ModelSchema, Update
from djfast_mount.schemas.pages import Page
from djfast_mount.schemas.references import Reference
from djfast_mount.schemas.related import Related
from djfast_mount.schemas.route_calls import read_what_routes_return

__all__ = [
    "Auto",
    "Caller",
    "Create",
    "InvalidRow",
    "ModelSchema",
    "Orm",
    "Page",
    "Reference",
    "Related",
    "Update",
    "as_caller",
    "read_what_routes_return",
    "register",
]
