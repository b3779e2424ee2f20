"""What the ``class Meta`` of a schema says: read once, each mistake named with its remedy."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Literal, get_args

from django.apps import apps
from django.db import models
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import (
    Declaration,
    Options,
    Way,
    annotations_of,
    is_declared,
    model_field,
    nested_schema,
    place_of,
)
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.declaring.secrets import is_called_like_a_secret
from djfast_mount.spelling import are_names, did_you_mean

__all__ = [
    "check_model",
    "check_names",
    "check_no_meta",
    "check_source",
    "has_attribute",
    "inherited",
    "names_of_all",
    "read_options",
]


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
        if not isinstance(given["match"], Mapping):
            raise ConfigurationError(
                f"{place_of(schema)}: Meta.match is {given['match']!r}. Write the fields for each nested list, as in "
                '{"departments": ["name"]}.'
            )
        given["match"] = {key: _names(schema, "match", names) for key, names in given["match"].items()}
    options = Options(**given)
    _check_values(schema, options)
    _check_together(schema, vars(meta))
    return options


def _check_values(schema: type, options: Options) -> None:
    if options.way not in get_args(Way):
        known = ", ".join(map(repr, get_args(Way)))
        raise ConfigurationError(f"{place_of(schema)}: Meta.way is {options.way!r}. Write one of {known}.")
    if not isinstance(options.depth, int) or options.depth < 0:
        raise ConfigurationError(f"{place_of(schema)}: Meta.depth is {options.depth!r}. Write an integer from 0 on.")
    if not isinstance(options.keep_sql, bool):
        raise ConfigurationError(f"{place_of(schema)}: Meta.keep_sql is {options.keep_sql!r}. Write True or False.")
    for name in ("name", "rel"):
        value = getattr(options, name)
        if not (value is None or (isinstance(value, str) and value)):
            raise ConfigurationError(f"{place_of(schema)}: Meta.{name} is {value!r}. Write a name, or leave it out.")


def _check_together(schema: type, said: Mapping[str, Any]) -> None:
    """Raises ConfigurationError where one option of a Meta undoes another. What it inherits may well be undone."""
    for one, other, why in (
        ("fields", "exclude", "it is left out"),
        ("read_only", "write_only", "it is neither in answers nor in bodies"),
    ):
        both = [name for name in said.get(one, ()) if said[one] != "__all__" and name in said.get(other, ())]
        if both:
            raise ConfigurationError(
                f"{place_of(schema)}: Meta.{one} and Meta.{other} both name {both[0]!r}: {why}. Take it out of one."
            )


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
    if not are_names(value):
        raise ConfigurationError(
            f'{place_of(schema)}: Meta.{option} is {value!r}. Write a list of names, as in ["name"].'
        )
    return tuple(value)


def check_names(declaration: Declaration, shown: Mapping[str, FieldInfo]) -> None:
    """Raises ConfigurationError where the ``class Meta`` of the schema names what there is not.

    Args:
        shown: The fields of the schema before any is taken out of them.
    """
    schema: Any = declaration.schema
    model = declaration.model
    holder = next((each for each in schema.__mro__ if "Meta" in vars(each)), object)
    # That of another schema was looked at there. What a Meta inherits was written for another one, too, and may name
    # more than this one has.
    said = {} if holder is not schema and is_declared(holder) else vars(getattr(holder, "Meta", object))
    for name in said.get("exclude", ()):
        if name not in shown and not (model_field(model, name) or has_attribute(model, name)):
            hint = did_you_mean(name, [*shown, *_known_names(model)], "Take it out.")
            raise ConfigurationError(
                f"{place_of(schema)}: Meta.exclude names {name!r}, which neither the schema nor {model.__name__} has. "
                f"{hint}"
            )
    for option in ("read_only", "write_only", "optional", "nested", "match"):
        for name in said.get(option, ()):
            if name not in shown:
                hint = did_you_mean(name, shown, f"Its fields are {', '.join(shown)}.")
                raise ConfigurationError(
                    f"{place_of(schema)}: Meta.{option} names {name!r}, which is no field of the schema. {hint}"
                )
    _check_nested(schema, shown, said.get("nested", ()))


def _check_nested(schema: Any, shown: Mapping[str, FieldInfo], names: Iterable[str]) -> None:
    for name in names:
        if schema.__pydantic_fields_complete__ and nested_schema(shown[name].annotation)[0] is None:
            raise ConfigurationError(
                f"{place_of(schema)}: Meta.nested names {name!r}, which is annotated with no schema: no body has rows "
                "for it. Annotate it with one, or take it out of Meta.nested."
            )


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


def check_model(schema: type, model: type[models.Model]) -> None:
    """Raises ConfigurationError when nobody can know the relations of `model` yet, or when it has no table."""
    # Reverse relations exist only once all models are there: a schema that is made before would lack fields,
    # depending on the order of INSTALLED_APPS.
    if not apps.models_ready:
        raise ConfigurationError(
            f"{place_of(schema)} is declared while Django is still loading the models, whose relations nobody knows "
            "yet. Declare it in a module that no models.py imports, such as schemas.py."
        )
    if model._meta.swapped:
        raise ConfigurationError(
            f"{place_of(schema)}: settings.{model._meta.swappable} has put {model._meta.swapped} in the place of "
            f"{model.__name__}, which has no table. Write ModelSchema[{model._meta.swapped.rpartition('.')[2]}]."
        )


def check_no_meta(schema: type[BaseModel]) -> None:
    """Raises ConfigurationError when `schema` has a Meta, and neither a model nor a parameter that will be one."""
    own = vars(schema)
    meta = own.get("Meta")
    # `class Base(ModelSchema[T], Generic[T])` has no model yet, and may have a Meta for its children.
    if meta is None or "__orig_bases__" in own:
        return
    given = getattr(meta, "model", None)
    name = given.__name__ if isinstance(given, type) else "Company"
    raise ConfigurationError(
        f"{place_of(schema)} has a Meta, and no model. A schema takes its model as a parameter, not from Meta.model: "
        f"write class {schema.__name__}(ModelSchema[{name}])."
    )
