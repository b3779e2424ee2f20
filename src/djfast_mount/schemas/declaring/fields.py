"""The fields of a schema class: those that its Meta names are added before pydantic collects them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel

from djfast_mount.schemas.declaring.annotations import automatic, described, of_model
from djfast_mount.schemas.declaring.declaration import Declaration, annotations_of
from djfast_mount.schemas.declaring.options import check_source, names_of_all

__all__ = ["Auto", "add_fields"]


class _Automatic:
    """Marks an annotation that the model is to give."""


if TYPE_CHECKING:
    Auto = Any
else:
    Auto = Annotated[Any, _Automatic()]
"""Annotates a field whose type the model tells: type checkers take it for Any."""

# Methods of every schema and body, besides those of pydantic's own models.
_METHODS = {
    *("acreate", "aof", "aread", "aread_json", "aupdate", "changes"),
    *("areplace", "create", "explain", "of", "read", "read_json", "replace", "update"),
}


def python_name(source: str) -> str:
    """Returns the attribute for the model's `source`, with an underscore where schemas have a method of that name.

    Pydantic has no fields whose names begin with an underscore, and models do: ``_order`` becomes ``order_``.
    """
    if source.startswith("_"):
        return f"{source.lstrip('_')}_"
    return f"{source}_" if source in _METHODS or hasattr(BaseModel, source) else source


def add_fields(declaration: Declaration) -> None:
    """Gives the class an annotation for each name of its Meta, in that order, and completes those that it has."""
    schema, model = declaration.schema, declaration.model
    own: dict[str, Any] = annotations_of(schema)
    # Given anew, a name would lose the annotation and the default of the parent schema.
    inherited = {name for above in schema.__mro__[1:] for name in annotations_of(above)}
    found: dict[str, Any] = {}
    for source in _sources(declaration, own):
        check_source(declaration, source)
        name = python_name(source)
        if name in own:
            found[name] = own.pop(name)
        elif name not in inherited:
            found[name], default = automatic(declaration, name, source)
            setattr(schema, name, default)
    for name, annotation in {**found, **own}.items():
        found[name] = annotation
        meant = _evaluated(schema, annotation)
        if meant is Auto and name not in vars(schema):
            check_source(declaration, name)
            found[name], default = automatic(declaration, name, name)
            setattr(schema, name, default)
            continue
        if (own_type := of_model(model, name, meant)) is not None:
            found[name] = own_type
        # A default of the class's own, a `Field(...)` too, is not replaced: it may say more.
        if name not in vars(schema) and (default := described(model, name)) is not None:
            setattr(schema, name, default)
    # pydantic reads the order of fields here, and answers are to follow Meta.fields.
    schema.__annotations__ = found


def _sources(declaration: Declaration, own: Iterable[str]) -> list[str]:
    """The names of the model that Meta lists, each once."""
    options = declaration.options
    fields = options.fields
    if fields == "__all__":
        fields = tuple(names_of_all(declaration.schema, declaration.model, options.exclude, own))
    return list(dict.fromkeys((*fields, *options.computed, *options.write_only)))


def _evaluated(schema: type, annotation: Any) -> Any:
    """What the text of an annotation means, as far as its module knows by now."""
    if isinstance(annotation, str):
        with suppress(Exception):  # What it names may not be there yet: pydantic will come to it.
            # `from __future__ import annotations` leaves texts. They are the project's own code, never a client's.
            return eval(annotation, vars(sys.modules[schema.__module__]))
    return annotation
