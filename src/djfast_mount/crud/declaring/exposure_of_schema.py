"""What a schema shows of its model: the only fields that callers may filter, order, search and aggregate by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from django.db import models

from djfast_mount.crud.declaring.exposure import Exposure
from djfast_mount.schemas.declaring.declaration import Member, Shape, shape_of
from djfast_mount.schemas.declaring.fields import python_name
from djfast_mount.schemas.declaring.kept_back import kept_back
from djfast_mount.schemas.declaring.mapping import is_forward, is_generic, orm_of
from djfast_mount.schemas.reading.bare_schemas import written_name

__all__ = ["exposure_of", "masked_fields", "needed_relations", "nested_models"]


def exposure_of(schema: Any, children: Mapping[str, Exposure] | None = None) -> Exposure:
    """Returns what `schema` shows. What it keeps back, or may change on the way, is left out: a filter would tell it.

    Args:
        children: What the children of the resource show, by the relation that leads to them.
    """
    found = _of_shape(shape_of(schema))
    return replace(found, related={**(children or {}), **found.related})


def _of_shape(shape: Shape) -> Exposure:
    fields: dict[str, models.Field[Any, Any]] = {}
    related: dict[str, Exposure] = {}
    as_rows: set[str] = set()
    # Left out for all callers, those with a scope too: parameters are one list for everybody, and are in OpenAPI.
    hidden = kept_back(shape.schema)
    for member in shape.members:
        if member.name in hidden:
            continue
        found = member.field
        # Callers who are shown a related object may ask for the rows that have it.
        if member.kind == "column" or (member.kind == "one" and is_forward(found)):
            fields[_sent_name(shape, member)] = found
        if member.kind == "one" and is_forward(found) and not _shows_key(shape, found):
            as_rows.add(_sent_name(shape, member))
        if is_generic(found):
            continue  # No filter leads over it: its rows are found by two columns.
        # What is computed nested is no relation that a query could follow.
        if member.shape is not None and member.kind != "computed":
            related[member.source] = _of_shape(member.shape)
        elif member.kind == "keys":
            key = found.related_model._meta.pk
            related[member.source] = Exposure(found.related_model, {key.name: key})
    kept = frozenset(_sent_name(shape, each) for each in shape.members if each.name in hidden)
    return Exposure(shape.model, fields, related, kept, frozenset(as_rows))


def _shows_key(shape: Shape, field: Any) -> bool:
    return any(member.kind == "column" and member.field is field for member in shape.members)


def _sent_name(shape: Shape, member: Member) -> str:
    """What callers know `member` as. A column that is called like a method of schemas, as `read`, is `read_` in Python
    alone."""
    renamed = member.name == python_name(member.source) != member.source
    return written_name(shape.schema, member.name) if renamed else member.key


def masked_fields(schema: Any) -> set[str]:
    """Returns what `schema` shows to some callers alone, as lookups: ``departments__budget``."""
    return set(_masked(shape_of(schema), ""))


def _masked(shape: Shape, path: str) -> Iterator[str]:
    for member in shape.members:
        if orm_of(shape.schema.model_fields[member.name]).read_scopes:
            yield path + member.source
        elif member.shape is not None:
            yield from _masked(member.shape, f"{path}{member.source}__")


def needed_relations(schema: Any) -> Iterator[tuple[type[models.Model], Any]]:
    """Returns the relations to one row in `schema`, at every depth, whose annotations do not take None: each with its
    model. A row cannot be shown where such a relation leads to a hidden one."""
    return _needed(shape_of(schema))


def _needed(shape: Shape) -> Iterator[tuple[type[models.Model], Any]]:
    for member in shape.members:
        if member.kind == "one" and not _takes_none(shape.schema.model_fields[member.name].annotation):
            yield shape.model, member.field
        if member.shape is not None:
            yield from _needed(member.shape)


def nested_models(schema: Any) -> Iterator[type[models.Model]]:
    """Returns the models of which `schema` shows rows nested, at every depth."""
    return _nested(shape_of(schema))


def _nested(shape: Shape) -> Iterator[type[models.Model]]:
    for member in shape.members:
        if member.shape is not None:
            yield member.shape.model
            yield from _nested(member.shape)


def _takes_none(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _takes_none(get_args(annotation)[0])
    return annotation in (None, type(None), Any) or any(
        _takes_none(each) for each in get_args(annotation) if get_origin(annotation) in (Union, UnionType)
    )
