"""What the ``class Meta`` of a schema says: read once, each mistake named with its remedy."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import Any, Literal, get_args

from django.db import models

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import Declaration, Options, Way, annotations_of, model_field, place_of
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.declaring.secrets import is_called_like_a_secret
from djfast_mount.spelling import did_you_mean

__all__ = ["check_source", "has_attribute", "inherited", "names_of_all", "read_options"]


_NAMES = {field.name for field in fields(Options)}
_LISTS = ("fields", "exclude", "read_only", "write_only", "optional", "computed", "nested")


def read_options(schema: type, meta: type | None) -> Options:
    """Returns what `meta`, the ``class Meta`` of `schema`, says. Raises: ConfigurationError."""
    if meta is None:
        return Options()
    # `dir()`, as Meta classes inherit from one another.
    given = {name: getattr(meta, name) for name in dir(meta) if not name.startswith("_")}
    for name in given:
        if name not in _NAMES:
            hint = did_you_mean(name, _NAMES, f"The options are {', '.join(sorted(_NAMES))}.")
            # A misspelt `exlude` would show what was to be left out.
            raise ConfigurationError(f"{place_of(schema)}: Meta has {name!r}, which is no option. {hint}")
    for name in _LISTS:
        if name in given:
            given[name] = _names(schema, name, given[name])
    if "match" in given:
        given["match"] = {key: _names(schema, "match", names) for key, names in given["match"].items()}
    options = Options(**given)
    if options.way not in get_args(Way):
        known = ", ".join(map(repr, get_args(Way)))
        raise ConfigurationError(f"{place_of(schema)}: Meta.way is {options.way!r}. Write one of {known}.")
    if not isinstance(options.keep_sql, bool):
        raise ConfigurationError(f"{place_of(schema)}: Meta.keep_sql is {options.keep_sql!r}. Write True or False.")
    return options


def inherited(options: Options, above: Iterable[Options], schema: type) -> Options:
    """Returns `options` with what the schemas `above` keep from answers: a Meta that does not inherit shows no more.

    What they exclude can be taken up again by name.
    """
    named = {*options.fields, *annotations_of(schema)}
    write_only, exclude = list(options.write_only), list(options.exclude)
    for each in above:
        # Added up, never taken back: a subclass with a Meta of its own would otherwise show the password that its
        # parent kept back.
        write_only += each.write_only
        exclude += [name for name in each.exclude if name not in named]
    return replace(options, write_only=tuple(dict.fromkeys(write_only)), exclude=tuple(dict.fromkeys(exclude)))


def _names(schema: type, option: str, value: Any) -> tuple[str, ...] | Literal["__all__"]:
    if option == "fields" and value == "__all__":
        return "__all__"
    # A text is iterable: `fields = "name"` would be read as four names.
    if isinstance(value, str) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(
            f'{place_of(schema)}: Meta.{option} is {value!r}. Write a list of names, as in ["name"].'
        )
    return tuple(value)


def names_of_all(schema: type, model: type[models.Model], exclude: Iterable[str], named: Iterable[str]) -> list[str]:
    """Returns what ``"__all__"`` stands for: every concrete field, a foreign key by the name of its key.

    Raises: ConfigurationError, when one is called like a secret and is neither excluded nor annotated.
    """
    left_out = set(exclude)
    # By the key's name, as `"__all__"` is not to fetch another row for every foreign key.
    found = [each.attname for each in model._meta.concrete_fields if left_out.isdisjoint((each.name, each.attname))]
    for name in found:
        if is_called_like_a_secret(name) and name not in named:
            raise ConfigurationError(
                f'{place_of(schema)}: Meta.fields = "__all__" would show {model.__name__}.{name}, which is called like '
                f"a secret. Exclude it, Meta.exclude = [{name!r}], or name the fields that are meant."
            )
    return found


def check_source(declaration: Declaration, source: str) -> None:
    """Raises: ConfigurationError, with the nearest name, when the model has no `source` and nothing computes it."""
    model = declaration.model
    if model_field(model, source) or has_attribute(model, source) or source in declaration.options.computed:
        return
    hint = did_you_mean(source, _known_names(model), "Name annotations of the queryset in Meta.computed.")
    raise ConfigurationError(f"{place_of(declaration.schema)}: {model.__name__} has no field {source!r}. {hint}")


def has_attribute(model: type[models.Model], name: str) -> bool:
    """Whether instances of `model` have a property, a method or another attribute of that name."""
    try:
        inspect.getattr_static(model, name)
    except AttributeError:
        return False
    return True


def _known_names(model: type[models.Model]) -> Iterator[str]:
    item: Any
    for item in model._meta.get_fields():
        if item.auto_created and not is_forward(item):
            yield item.get_accessor_name() or item.name
        else:
            yield item.name
            if is_forward(item) and item.is_relation and not item.many_to_many:
                yield item.attname
    yield from (name for name in vars(model) if not name.startswith("_"))
