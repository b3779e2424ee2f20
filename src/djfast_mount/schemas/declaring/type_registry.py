"""Which Python type a Django model field has in a schema: one table, by field class, filled by django_types.py.

1. What is read is never held to a constraint: a row that is older than the constraint would be a 500.
2. What is written is held to what Django holds it to, and to nothing stricter: `full_clean` has the last word.
3. A subclass of a field has its parent's type, unless it is registered itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from djfast_mount.exceptions import ConfigurationError

__all__ = ["FieldType", "Maker", "ModelField", "field_type", "makes", "register"]

ModelField = Any
"""A Django model field. The stubs make `Field` generic over what is set and got, which nobody here asks for."""


@dataclass(frozen=True)
class FieldType:
    """The annotations of one model field, without the None of a nullable one.

    Attributes:
        read: What an answer holds.
        write: What a body holds: `read` with the constraints of the model. None: it is in no body.
        plain: The Python type of the model's value, which an annotation by hand is compared with.
    """

    read: Any
    write: Any
    plain: type | None = None


Maker = Callable[[ModelField], FieldType]
_makers: dict[type | str, Maker] = {}
# A field is asked for by each schema, body and filter of its model: making them anew was a tenth of a start.
_known: dict[ModelField, FieldType] = {}


def register(field_class: type, read: Any, write: Any = None) -> None:
    """Gives a custom model field, and its subclasses, a type in schemas. Call it before the schemas are declared.

    Args:
        field_class: A subclass of `django.db.models.Field`.
        read: The annotation of an answer, such as ``Annotated[Money, PlainSerializer(str)]``.
        write: The annotation of a body. None: the same.
    """
    # Without a plain type: what a project registers is taken at its word, and no annotation is held against it.
    found = FieldType(read, read if write is None else write)
    _makers[field_class] = lambda field: found
    _known.clear()


def makes(*field_classes: type | str) -> Callable[[Maker], Maker]:
    """Has the decorated function make the types of `field_classes`: classes, or the paths of some not imported."""

    def add(maker: Maker) -> Maker:
        _makers.update(dict.fromkeys(field_classes, maker))
        return maker

    return add


def field_type(field: ModelField) -> FieldType:
    """Returns the types of `field`. Raises: ConfigurationError, when the table has none for its class."""
    if (known := _known.get(field)) is not None:
        return known
    # The nearest class wins, so that a registered subclass goes before Django's own field.
    for field_class in type(field).__mro__:
        # By name, for django.contrib.postgres: its import fails where the driver is not installed.
        path = f"{field_class.__module__}.{field_class.__qualname__}"
        if maker := _makers.get(field_class) or _makers.get(path):
            _known[field] = maker(field)
            return _known[field]
    raise ConfigurationError(
        f"{field} is a {type(field).__qualname__}, for which schemas know no type. "
        "Register one: djfast_mount.schemas.register(FieldClass, annotation)."
    )
