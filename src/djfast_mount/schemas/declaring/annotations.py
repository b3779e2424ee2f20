"""The annotations of a schema that is read: those that the model gives, and those by hand held against the model."""

from __future__ import annotations

import datetime
import inspect
import types
import typing
import uuid
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property, partial
from typing import Annotated, Any, get_args, get_origin

from django.db import models
from django.utils.text import capfirst
from pydantic import Field
from pydantic.fields import FieldInfo

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import Declaration, model_field, nested_schema, place_of, source_of
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.declaring.secrets import is_called_like_a_secret
from djfast_mount.schemas.declaring.type_registry import field_type

__all__ = ["automatic", "check_annotation", "described", "of_model", "or_none", "shown", "told"]

# Those that a mistake in an annotation is likely to mix up. Any other type is taken at its word.
_SCALARS = {
    bool,
    bytes,
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    Decimal,
    float,
    int,
    str,
    uuid.UUID,
}
# What pydantic turns into the other without loss.
_WIDER = {(int, float), (int, Decimal)}


def or_none(annotation: Any, nullable: bool) -> Any:
    """Returns `annotation`, with None beside it where it is `nullable`."""
    return annotation | None if nullable else annotation


def automatic(declaration: Declaration, name: str, source: str) -> tuple[Any, Any]:
    """Returns the annotation that the model gives `source`, and the pydantic field for it.

    Raises: ConfigurationError, when it is a relation that only a schema can show.
    """
    model = declaration.model
    alias = source if source != name else None
    found = model_field(model, source)
    if found is None:
        return _computed(model, source), Field(alias=alias)
    field, by_key = found
    if field.is_relation and not by_key and declaration.options.depth and field.related_model is not None:
        return _nested(declaration, field), Field(alias=alias)
    if not field.is_relation or (is_forward(field) and not field.many_to_many):
        annotation = or_none(field_type(field).read, field.null)
    elif is_forward(field) and field.many_to_many:
        # Keys, not objects: rows behind a many-to-many stand on their own, and to show them is a decision that a schema
        # has to be named for.
        annotation = list[field_type(field.related_model._meta.pk).read]  # type: ignore[misc]
    else:
        # No default would do: the keys of a reverse relation are rarely meant, and all of its columns may be secret.
        raise _not_shown(declaration, name, field)
    return annotation, Field(alias=alias, json_schema_extra=shown(field))


def _not_shown(declaration: Declaration, name: str, field: Any) -> Exception:
    if field.related_model is None:
        return ConfigurationError(
            f"{place_of(declaration.schema)}: {name} leads to rows of any model, which no one schema shows. Name the "
            "columns that it is made of, its content type and the key of the object."
        )
    return ConfigurationError(
        f"{place_of(declaration.schema)}: {name} is a relation to {field.related_model.__name__}, and no schema "
        f"shows it. Declare one, and annotate: {name}: {_example(field)}."
    )


def _nested(declaration: Declaration, field: Any) -> Any:
    """The annotation of a relation that Meta.depth nests: by a schema with all columns of its model but secrets."""
    target, depth = field.related_model, declaration.options.depth - 1
    # The models that depth reaches were written by others, often: nobody has looked at their columns with an API in
    # mind.
    columns = [each for each in target._meta.concrete_fields if not is_called_like_a_secret(each.attname)]
    names = [each.name if depth and each.is_relation else each.attname for each in columns]
    meta = type("Meta", (), {"fields": names, "depth": depth})
    body = {"__module__": declaration.schema.__module__, "Meta": meta}
    name = f"{declaration.public_name}{target.__name__}"
    bases = (declaration.root[target],)  # type: ignore[index]
    schema: Any = types.new_class(name, bases, exec_body=lambda namespace: namespace.update(body))
    return (
        list[schema]
        if field.many_to_many or field.one_to_many
        else or_none(schema, field.null or not is_forward(field))
    )


def _example(field: Any) -> str:
    schema = f"{field.related_model.__name__}Schema"
    return f"list[{schema}]" if field.many_to_many or field.one_to_many else schema


def _computed(model: type[models.Model], source: str) -> Any:
    """The annotation of what a property or a method of the model returns; Any where it tells none."""
    # Statically: `getattr` on the class would run descriptors of other packages, some of which ask the database.
    attribute = inspect.getattr_static(model, source, None)
    if isinstance(attribute, property):
        attribute = attribute.fget
    elif isinstance(attribute, cached_property):
        attribute = attribute.func
    if not inspect.isfunction(attribute):
        return Any
    try:
        return typing.get_type_hints(attribute).get("return", Any)
    except NameError:  # Named for type checkers alone.
        return Any


def described(model: type[models.Model], name: str) -> Any:
    """Returns a pydantic field with what the model tells of `name`; None where it is no column of the model."""
    found = model_field(model, name)
    return None if found is None or found[0].is_relation else Field(json_schema_extra=shown(found[0]))


def of_model(model: type[models.Model], name: str, annotation: Any) -> Any:
    """Returns the model's own annotation of `name`, where `annotation` is no more than its Python type; else None.

    It knows how the values of the type are written: bytes as base64.
    """
    found = model_field(model, name)
    if found is None or found[0].many_to_many or (found[0].is_relation and not is_forward(found[0])):
        return None
    kind = field_type(found[0])
    if kind.plain is None or annotation not in (kind.plain, kind.plain | None):
        return None
    # `name: str` on an EmailField is written by people who want the field as it is, its format in OpenAPI included.
    return or_none(kind.read, annotation != kind.plain)


def shown(field: Any) -> Callable[[dict[str, Any]], None]:
    """Returns what completes the JSON schema of `field`, in the language of the one for whom it is made."""
    # A function, not a dict: verbose names are lazy translations, and the document may be asked for in several
    # languages.
    return partial(_complete, field)


def told(text: str, model: type[models.Model]) -> Callable[[dict[str, Any]], None]:
    """Returns what describes a JSON schema by `text`, in whose ``{}`` the name of `model` is put, in that language."""
    return lambda schema: schema.update(description=text.format(model._meta.verbose_name))


def _complete(field: Any, schema: dict[str, Any]) -> None:
    verbose, help_text = str(field.verbose_name), str(field.help_text)
    # Django makes this name where nobody has given one. As a title it says no more than the key.
    if verbose != field.name.replace("_", " "):
        schema["title"] = capfirst(verbose)
    if help_text:
        schema["description"] = help_text
    if field.choices and "$ref" not in schema:
        schema.update(_enumeration(field))


def _enumeration(field: Any) -> dict[str, Any]:
    choices = dict(field.flatchoices)
    if field.null:
        # Django has the blank choice in forms alone. A client that validates answers by OpenAPI would refuse the row.
        choices.setdefault(None, "")
    if field.blank and field.empty_strings_allowed:
        choices.setdefault("", "")
    labels = [str(label) for label in choices.values()]
    return {"enum": list(choices), "x-enum-descriptions": labels}


def check_annotation(declaration: Declaration, name: str, info: FieldInfo) -> None:
    """Raises: ConfigurationError, when the annotation of `name` does not fit what the model holds."""
    found = model_field(declaration.model, source_of(declaration.model, name, info))
    annotation = info.annotation
    # A name that is not there yet is looked at by pydantic, when the class is rebuilt.
    if found is None or found[0].is_relation or isinstance(annotation, str | typing.ForwardRef):
        return
    if nested_schema(annotation)[0] is not None:
        raise _misfit(declaration, name, found[0], "a schema of a model", "the type of the field")
    _check_type(declaration, name, found[0], info)


def _check_type(declaration: Declaration, name: str, field: Any, info: FieldInfo) -> None:
    plain = field_type(field).plain
    wanted = getattr(plain, "__name__", "its type") + (" | None" if field.null else "")
    members = {_bare(item) for item in _alternatives(info.annotation)}
    # It would be a 500 on the day on which the first row has a null there, and not before.
    if field.null and members.isdisjoint((type(None), Any)) and info.is_required():
        raise _misfit(declaration, name, field, "never None", wanted, " with null=True")
    members.discard(type(None))
    # Only types that are certain to be wrong: a class of a project's own may have a validator that takes anything.
    if plain in _SCALARS and members <= _SCALARS and not any(_fits(plain, item) for item in members):
        said = " | ".join(sorted(item.__name__ for item in members))
        raise _misfit(declaration, name, field, said, wanted)


def _misfit(declaration: Declaration, name: str, field: Any, said: str, wanted: str, more: str = "") -> Exception:
    return ConfigurationError(
        f"{place_of(declaration.schema)}: {name} is annotated as {said}, and {field} is a "
        f"{type(field).__name__}{more}. Write {name}: {wanted}."
    )


def _fits(plain: Any, annotated: Any) -> bool:
    return plain is annotated or (plain, annotated) in _WIDER


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    bare = _bare(annotation)
    return get_args(bare) if get_origin(bare) in (typing.Union, type(int | str)) else (bare,)


def _bare(annotation: Any) -> Any:
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation
