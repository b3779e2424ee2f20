"""Schemas of Django models: `ModelSchema`, what is made of it, and `Related` for plain Pydantic models."""

from djfast_mount.schemas.declaring.fields import Auto
from djfast_mount.schemas.declaring.mapping import Caller, Orm, as_caller
from djfast_mount.schemas.declaring.type_registry import register
from djfast_mount.schemas.model_schema import Create, ModelSchema, Reference, Update
from djfast_mount.schemas.pages import Page
from djfast_mount.schemas.reading.route_calls import read_what_routes_return
from djfast_mount.schemas.related import Related
from djfast_mount.schemas.writing.invalid import InvalidRow

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
