"""What a schema class declares of its model, and the shape that follows: each name with what it stands for.

All else is made from the shape: the queries, the assembler of the read plan, the way through instances, and bodies.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from pydantic import AliasChoices, BaseModel
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo
from typing_extensions import Format, get_annotations

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.mapping import is_forward, orm_of

__all__ = [
    "Declaration",
    "Member",
    "Options",
    "Shape",
    "Way",
    "annotations_of",
    "declare",
    "declared",
    "is_declared",
    "key_of",
    "model_field",
    "nested_schema",
    "place_in_module",
    "place_of",
    "shape_of",
    "source_of",
]

Way = Literal["plan", "instances", "database"]


@dataclass(frozen=True)
class Options:
    """The options of one schema.

    Attributes:
        fields: Names of model fields, or ``"__all__"``. What is annotated need not be among them.
        exclude: Names that ``"__all__"`` leaves out, or that a parent schema had.
        read_only: In answers, never in bodies.
        write_only: In bodies, never in answers.
        optional: In bodies of creation too, these need not be sent.
        computed: Names that the model has no field for: properties, methods, annotations of the queryset.
        depth: How many levels of relations are nested by schemas made for the purpose. 0: ids.
        nested: Relations to rows of their own standing (foreign keys, many-to-many) that a body writes through, too.
        match: For a nested list, the fields by which its items find their rows where they have no id.
        name: The name in OpenAPI. None: the class's, without ``Schema`` at its end.
        rel: For a `Reference`, what it leads to, such as the name of a route.
        way: How rows are read, if not as it is chosen: ``"plan"``, ``"instances"``, ``"database"`` (PostgreSQL's JSON).
        keep_sql: The SQL of a plain list depends on nothing but order and slice, so PostgreSQL's JSON is asked for by
            the SQL of an earlier call: no package changes Django's queries for each caller.
    """

    fields: tuple[str, ...] | Literal["__all__"] = ()
    exclude: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    write_only: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    depth: int = 0
    nested: tuple[str, ...] = ()
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name: str | None = None
    rel: str | None = None
    way: Way = "plan"
    keep_sql: bool = False


def annotations_of(schema: type) -> dict[str, Any]:
    """Returns the annotations of the class itself. From Python 3.14 on its dict has none before they are asked for.

    Where a name is not there yet, the annotation is its text, or from 3.14 on a ForwardRef.
    """
    # PEP 649 and 749: evaluated as a value, a name that is imported for type checkers alone would raise.
    return dict(get_annotations(schema, format=Format.FORWARDREF))


def place_of(schema: type) -> str:
    """Where `schema` stands, for the messages of errors: its name and its file."""
    file = getattr(sys.modules.get(schema.__module__), "__file__", None)
    name = schema.__name__
    return f"{name} ({file})" if file else f"{schema.__module__}.{name}"


@dataclass
class Declaration:
    """What a schema class declares. Kept on the class; `declared()` finds it.

    Attributes:
        root: `ModelSchema`, of which others are made for Meta.depth.
        write_only: The fields of bodies that the schema itself has not.
    """

    schema: type
    model: type[models.Model]
    options: Options
    root: type
    write_only: dict[str, FieldInfo] = field(default_factory=dict)

    @property
    def public_name(self) -> str:
        """The name in OpenAPI."""
        return self.options.name or self.schema.__name__.removesuffix("Schema") or self.schema.__name__


_ATTRIBUTE = "__model_schema__"


def declared(schema: type) -> Declaration:
    """Returns the declaration of `schema`. Raises: ConfigurationError, when it is no schema of a model."""
    # Of the class itself: a subclass has a declaration of its own, and one that only inherits would read the model of
    # its parent.
    found = vars(schema).get(_ATTRIBUTE)
    if not isinstance(found, Declaration):
        raise ConfigurationError(
            f"{schema!r} is no schema of a model. Declare it as in class CompanySchema(ModelSchema[Company]): ..."
        )
    return found


def declare(declaration: Declaration) -> None:
    """Keeps `declaration` on its class."""
    setattr(declaration.schema, _ATTRIBUTE, declaration)


def is_declared(schema: object) -> bool:
    """Whether `schema` is a class with a declaration of its own."""
    return isinstance(schema, type) and _ATTRIBUTE in vars(schema)


def place_in_module(schema: type) -> tuple[str, str]:
    """Returns the module of `schema`, and the path of attributes in it."""
    return schema.__module__, schema.__qualname__.removesuffix(f".{declared(schema).public_name}")


def model_field(model: type[models.Model], name: str) -> tuple[Any, bool] | None:
    """Returns the field or relation `name` of `model`, and whether the name is that of its key; None if there is none.

    A reverse relation is found by the name of its attribute, ``department_set``, and not by that of its lookups.
    """
    meta = model._meta
    if name == "pk":
        return meta.pk, False
    try:
        found: Any = meta.get_field(name)
    except FieldDoesNotExist:
        found = None
    # `get_field()` finds reverse relations by the name of their lookups, which is not the attribute that instances
    # have.
    if found is not None and not isinstance(found, models.ForeignObjectRel):
        return found, bool(is_forward(found) and found.is_relation and name == found.attname != found.name)
    return next(((item, False) for item in meta.related_objects if item.get_accessor_name() == name), None)


Kind = Literal["column", "file", "keys", "one", "many", "computed"]


@dataclass(frozen=True)
class Member:
    """One name of a schema.

    Attributes:
        name: The attribute of the schema.
        key: The name under which validation takes its value.
        source: The attribute of the model's instances.
        kind: ``"column"``, a ``"file"``, the ``"keys"`` of a many-to-many, a nested schema for ``"one"`` row or
            ``"many"``, or ``"computed"``: by a property, a method or an annotation.
        field: The model field or relation; None for what is computed.
        shape: Of the nested schema.
        many: Whether it is a list of nested schemas.
        required: Whether there is no default.
    """

    name: str
    key: str
    source: str
    kind: Kind
    field: Any = None
    shape: Shape | None = None
    many: bool = False
    required: bool = True


@dataclass(frozen=True)
class Shape:
    """What one schema takes from one model."""

    schema: type[BaseModel]
    model: type[models.Model]
    members: tuple[Member, ...]

    def relations(self) -> Iterator[Member]:
        """The members that lead to rows of other tables."""
        return (member for member in self.members if member.kind in ("one", "many", "keys"))


def nested_schema(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Returns the schema of a model in `annotation`, and whether it is one of a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return nested_schema(get_args(annotation)[0])
    if origin in (list, tuple, set, frozenset) and get_args(annotation):
        return nested_schema(get_args(annotation)[0])[0], True
    if origin in (Union, types.UnionType):
        found = [nested_schema(item) for item in get_args(annotation) if item is not type(None)]
        # A union of two schemas is pydantic's to decide from the data; no query can be made for it beforehand.
        return found[0] if len(found) == 1 else (None, False)
    return (annotation, False) if is_declared(annotation) else (None, False)


@cache
def shape_of(schema: type[BaseModel]) -> Shape:
    """Returns the shape of `schema`, with all that is nested in it.

    Raises: ConfigurationError, when it holds itself, or a relation and a nested schema do not fit.
    """
    return _shape(schema, declared(schema).model, ())


def _shape(schema: type[BaseModel], model: type[models.Model], above: tuple[type[BaseModel], ...]) -> Shape:
    # Found at the start. Otherwise the first row that refers to itself would end in a RecursionError.
    if schema in above:
        chain = " > ".join(each.__qualname__ for each in (*above[above.index(schema) :], schema))
        raise ConfigurationError(
            f"{place_of(schema)} holds itself: {chain}. An answer of it would have no end. "
            "Give the inner one a schema of its own, with the relation left out."
        )
    # Two schemas of one module may name each other, as long as one leaves the other's field out.
    if not schema.__pydantic_fields_complete__ and not schema.model_rebuild(raise_errors=False):
        raise PydanticUndefinedAnnotation(schema.__name__, f"{place_of(schema)} names classes that are not there yet.")
    options = declared(schema).options
    # A subclass may have annotated the name anew: what a schema keeps back its subclasses keep back as well.
    kept_back = {*options.write_only, *options.exclude}
    members = tuple(
        _member(schema, model, name, info, (*above, schema))
        for name, info in schema.model_fields.items()
        if not orm_of(info).skipped and name not in kept_back
    )
    return Shape(schema, model, members)


def _member(
    schema: type[BaseModel], model: type[models.Model], name: str, info: FieldInfo, above: tuple[type[BaseModel], ...]
) -> Member:
    key, source = key_of(schema, name, info), source_of(model, name, info)
    nested, many = nested_schema(info.annotation)
    found = model_field(model, source)
    if orm_of(info).method is not None or found is None:
        computed = None if nested is None else _shape(nested, declared(nested).model, above)
        return Member(name, key, source, "computed", None, computed, many, info.is_required())
    field, by_key = found
    if nested is None or not field.is_relation or by_key:
        return Member(name, key, source, _kind(schema, name, field), field, required=info.is_required())
    _check_target(schema, name, nested, field.related_model)
    to_many = bool(field.many_to_many or field.one_to_many)
    if to_many is not many:
        wanted = f"list[{nested.__name__}]" if to_many else nested.__name__
        raise ConfigurationError(
            f"{place_of(schema)}: {model.__name__}.{source} leads to {'many rows' if to_many else 'one row'}, "
            f"and {name} is annotated otherwise. Write {name}: {wanted}."
        )
    inner = _shape(nested, field.related_model, above)
    return Member(name, key, source, "many" if many else "one", field, inner, many, info.is_required())


def _kind(schema: type[BaseModel], name: str, field: Any) -> Kind:
    if isinstance(field, models.FileField):
        return "file"
    if not field.is_relation or (is_forward(field) and not field.many_to_many):
        return "column"
    if field.many_to_many and is_forward(field):
        return "keys"
    raise ConfigurationError(
        f"{place_of(schema)}: {name} is a relation, and is annotated with no schema. "
        f"Declare one for {getattr(field.related_model, '__name__', 'its rows')}, and annotate {name} with it."
    )


def _check_target(
    schema: type[BaseModel], name: str, nested: type[BaseModel], target: type[models.Model] | None
) -> None:
    model = declared(nested).model
    if target is None:
        raise ConfigurationError(
            f"{place_of(schema)}: {name} is a GenericForeignKey, which leads to rows of any model, and "
            f"{nested.__name__} is a schema of {model.__name__}. Name the columns that it is made of, its content type "
            "and the key of the row."
        )
    # A schema of a parent model reads its children; the other way round, columns would be missing.
    if not issubclass(target, model):
        raise ConfigurationError(
            f"{place_of(schema)}: {name} leads to {target.__name__}, and {nested.__name__} is a schema of "
            f"{model.__name__}. Annotate {name} with a schema of {target.__name__}."
        )


def key_of(schema: type[BaseModel], name: str, info: FieldInfo) -> str:
    """Returns the name under which `schema` takes the value of its attribute `name`."""
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        # pydantic takes the first that is there. Values of ours have one name each.
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    config = schema.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    return name if by_name or not isinstance(alias, str) else alias


def source_of(model: type[models.Model], name: str, info: FieldInfo) -> str:
    """Returns the attribute of the model that the attribute `name` of a schema stands for."""
    orm = orm_of(info)
    if orm.method is not None:
        return orm.method
    if orm.field is not None:
        return orm.field
    alias = info.validation_alias
    if isinstance(alias, str) and model_field(model, name) is None and model_field(model, alias) is not None:
        return alias
    return name
