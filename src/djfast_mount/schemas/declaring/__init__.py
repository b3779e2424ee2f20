"""What a schema class declares: its options, its fields, and the type that each has."""

# They fill the table of field_types.
from djfast_mount.schemas.declaring import django_types, postgres_types

__all__ = ["django_types", "postgres_types"]
