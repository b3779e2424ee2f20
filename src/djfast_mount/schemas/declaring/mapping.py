"""What one field of a schema may say of itself, in its annotation: where it comes from, and who may see or set it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from types import UnionType
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

from django.db.models import ForeignObject
from django.db.models.query_utils import DeferredAttribute
from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "Caller",
    "Orm",
    "as_caller",
    "is_forward",
    "is_generic",
    "is_mask",
    "masks",
    "may_read",
    "may_write",
    "orm_of",
]


class Caller(Protocol):
    """What fields with scopes ask about the caller."""

    @property
    def critical(self) -> bool:
        """Whether the caller may write critical fields just now."""

    def has_scope(self, scope: str) -> bool:
        """Whether the caller has been granted `scope`."""


_caller: ContextVar[Caller | None] = ContextVar("djfast_mount_caller", default=None)


@contextmanager
def as_caller(caller: Caller) -> Iterator[None]:
    """Has fields with scopes ask `caller`. Where nobody is told, they are masked and refused."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


def may(scopes: Sequence[str]) -> bool:
    """Whether the caller has one of `scopes`; nobody needs any where there are none."""
    caller = _caller.get()
    # Fails closed: code that forgets to say who calls, a task say, shows dots and writes nothing.
    return not scopes or (caller is not None and any(map(caller.has_scope, scopes)))


_UNSET: Any = object()


class Orm:
    """Says where a field of a schema comes from and goes to: ``name: Annotated[str, Orm("title")]``.

    Args:
        field: The attribute of the model: its name, or the attribute itself (``Company.title``), a property of the
            model too. None: none, so that it is neither read nor written. Not given: the field's own name.
        method: A method of the model, or its name. It is called without arguments to read and, where the field is
            in a body, with the value to write, before the row is validated and saved, as is ``User.set_password``.
        write_method: The method that is called to write, where another one reads.
        read_scopes: Who has none of these sees the value masked.
        write_scopes: Who has none of these may not send it: 403.
        critical: Whether it is written by a caller with critical access only.

    Raises:
        TypeError: Scopes are no list, or an attribute is none of a model.
    """

    def __init__(
        self,
        field: Any = _UNSET,
        *,
        method: str | Callable[..., Any] | None = None,
        write_method: str | Callable[..., Any] | None = None,
        read_scopes: Sequence[str] = (),
        write_scopes: Sequence[str] = (),
        critical: bool = False,
    ) -> None:
        self.skipped = field is None
        self.field = None if field in (_UNSET, None) else _name_of(field)
        self.method = None if method is None else _name_of(method)
        self.write_method = self.method if write_method is None else _name_of(write_method)
        self.read_scopes = _scopes("read_scopes", read_scopes)
        self.write_scopes = _scopes("write_scopes", write_scopes)
        self.critical = critical

    @property
    def guards_writes(self) -> bool:
        """Whether some callers may not send it."""
        return bool(self.write_scopes or self.critical)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if not self.read_scopes:
            return schema
        # Before validation, so that a validator of the field's cannot put the value into the text of an error.
        return core_schema.no_info_before_validator_function(partial(_masked, self.read_scopes), schema)


def _scopes(argument: str, scopes: Sequence[str]) -> tuple[str, ...]:
    # A text is a sequence too: any letter of it would be enough.
    if isinstance(scopes, str) or not all(isinstance(scope, str) for scope in scopes):
        raise TypeError(f'Orm() got {argument}={scopes!r}. Write a list, as in {argument}=["salaries.read"].')
    return tuple(scopes)


def _masked(scopes: Sequence[str], value: Any) -> Any:
    """Returns `value`, or for who may not see it a text of dots, zero, False or None in its place."""
    return value if may(scopes) else _mask(value)


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        # Always three: dots that are as many as the letters would tell the length.
        return "\u2022" * 3
    return type(value)() if isinstance(value, int | float) else None


def masks(function: Any) -> bool:
    """Whether `function`, of a core schema, is the one that hides values from who may not see them."""
    return function is _masked


def is_mask(value: Any) -> bool:
    """Whether `value` is what is shown to who may not see a field."""
    return value is None or (isinstance(value, str | int | float) and value == _mask(value))


def _name_of(attribute: Any) -> str:
    if isinstance(attribute, str):
        return attribute
    if isinstance(attribute, DeferredAttribute):
        return str(attribute.field.attname)
    if isinstance(attribute, property) and attribute.fget is not None:
        return attribute.fget.__name__
    if isinstance(attribute, cached_property):
        return str(attribute.attrname)
    name = getattr(attribute, "name", None) or getattr(attribute, "__name__", None)
    field = getattr(attribute, "field", None)  # of a relation's descriptor
    if name is None and field is not None:
        name = field.name
    if not isinstance(name, str):
        raise TypeError(f"Orm() got {attribute!r}. Give an attribute of the model, or its name.")
    return name


def may_read(orm: Orm) -> bool:
    """Whether the caller sees the field as it is."""
    return may(orm.read_scopes)


def may_write(orm: Orm) -> bool:
    """Whether the caller may send the field."""
    caller = _caller.get()
    return may(orm.write_scopes) and not (orm.critical and (caller is None or not caller.critical))


_PLAIN = Orm()


def orm_of(info: FieldInfo) -> Orm:
    """Returns what the annotation of a field says of its place on the model."""
    found = next((item for item in info.metadata if isinstance(item, Orm)), None)
    return found or _inside(info.annotation) or _PLAIN


def _inside(annotation: Any) -> Orm | None:
    """What is said inside of a union: ``Annotated[int, Orm(...)] | None`` hides and guards as the whole would."""
    if get_origin(annotation) is Annotated:
        return next((item for item in get_args(annotation)[1:] if isinstance(item, Orm)), None)
    if get_origin(annotation) in (Union, UnionType):
        return next(filter(None, map(_inside, get_args(annotation))), None)
    return None


def is_forward(field: Any) -> bool:
    """Whether a field of a model is its own: a column, or a many-to-many.

    `concrete` told a many-to-many from the relations of other models before Django 6.1, and no longer does.
    """
    return bool(field.concrete or (field.many_to_many and not field.auto_created))


def is_generic(field: Any) -> bool:
    """Whether `field` is a GenericRelation: rows that name in columns of their own the row, of any model, they belong
    to."""
    # By its kind, since django.contrib.contenttypes cannot be imported where it is not installed.
    return isinstance(field, ForeignObject) and bool(field.one_to_many)
