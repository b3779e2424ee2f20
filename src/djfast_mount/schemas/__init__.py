"""Schemas of Django models: `Related` for plain Pydantic models."""

from djfast_mount.schemas.related import Related

__all__ = ["Related"]
