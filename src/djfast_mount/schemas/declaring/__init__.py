"""What a schema class declares: its options, its fields, and the type that each has."""

# Imported for their effect: they register the types of Django's fields.
from djfast_mount.schemas.declaring import django_types, postgres_types

__all__ = ["django_types", "postgres_types"]
