"""`ModelSchema`, one class for what is read of a model, and what is made of it: `Create` and `Update`, for bodies.

1. What a body was not sent has the value `pydantic.MISSING`: it is neither None nor a default.
2. A relation to rows of their own standing (a foreign key, a many-to-many) is written by key, unless `Meta.nested`
   names it: who may write a department need not be allowed to write its company. Rows that belong to the one that is
   written (reverse relations) are written nested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from asgiref.sync import sync_to_async
from django.db.models import Manager, Model, QuerySet
from django.db.models.query import RawQuerySet
from pydantic import MISSING, BaseModel, ConfigDict, GetCoreSchemaHandler, computed_field, model_validator
from pydantic_core import CoreSchema

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.annotations import check_annotation
from djfast_mount.schemas.declaring.declaration import (
    Declaration,
    declare,
    declared,
    is_declared,
    place_in_module,
    place_of,
    shape_of,
    source_of,
)
from djfast_mount.schemas.declaring.fields import add_fields
from djfast_mount.schemas.declaring.mapping import orm_of
from djfast_mount.schemas.declaring.options import (
    check_model,
    check_names,
    check_no_meta,
    check_source,
    inherited,
    read_options,
)
from djfast_mount.schemas.reading import instances, ways
from djfast_mount.schemas.reading.first import First
from djfast_mount.schemas.writing import bulk, saving
from djfast_mount.schemas.writing.body_models import body_model
from djfast_mount.schemas.writing.match_option import check_match
from djfast_mount.schemas.writing.slots import Purpose, is_made, plan_of

__all__ = ["Create", "ModelSchema", "Reference", "Update"]

M = TypeVar("M", bound=Model)


def _title(schema: type[Any]) -> str:
    return declared(schema).public_name if is_declared(schema) else schema.__name__


class ModelSchema(BaseModel, Generic[M]):
    """A schema of a Django model: a Pydantic model whose fields come from the model.

        class CompanySchema(ModelSchema[Company]):
            name: str
            departments: list[DepartmentSchema]

            class Meta:
                fields = ["id", "name", "status"]

    Annotations are checked against the model when the class is made; ``Auto`` stands for the model's own type. A nested
    schema stands for a relation. `Create`, `Update` and `Page` make the other types of it. `Meta` is described at
    `djfast_mount.schemas.declaring.declaration.Options`.

    Raises: ConfigurationError, when the class is made or its first route is: the model has no such field, a type does
        not fit, a relation has no schema, schemas hold each other.
    """

    model_config = ConfigDict(
        from_attributes=True,
        # `class Meta` is no field.
        ignored_types=(type,),
        model_title_generator=_title,
        populate_by_name=True,
        protected_namespaces=(),
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        model = _model_of(cls)
        if model is None:
            check_no_meta(cls)
            return
        check_model(cls, model)
        above = [declared(each).options for each in cls.__mro__[1:] if is_declared(each)]
        options = inherited(read_options(cls, getattr(cls, "Meta", None)), above, cls)
        declaration = Declaration(cls, model, options, ModelSchema)
        declare(declaration)
        add_fields(declaration)
        # pydantic names a definition in OpenAPI by the last part of the qualified name.
        # Generators of clients name their classes by it.
        cls.__qualname__ = f"{cls.__qualname__}.{declaration.public_name}"

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not is_declared(cls):
            return
        declaration, fields = declared(cls), cls.model_fields
        for name, info in fields.items():
            if not orm_of(info).skipped:
                check_source(declaration, source_of(declaration.model, name, info))
            check_annotation(declaration, name, info)
        check_names(declaration, fields)
        if declaration.options.rel is not None and not issubclass(cls, Reference):
            raise ConfigurationError(
                f"{place_of(cls)}: Meta.rel is {declaration.options.rel!r}, and answers of a ModelSchema have no $rel. "
                f"Write class {cls.__name__}(Reference[{declaration.model.__name__}]), or take it out."
            )
        options = declaration.options
        # After pydantic has collected and checked them: bodies are made of these fields, and answers lack them.
        declaration.write_only = {name: fields.pop(name) for name in options.write_only if name in fields}
        excluded = [name for name in options.exclude if fields.pop(name, None) is not None]
        if declaration.write_only or excluded:
            cls.model_rebuild(force=True, raise_errors=False)
        check_match(cls)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if is_declared(cls):
            shape_of(cls)
        return handler(source)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # pickle would look for the class by its qualified name.
        return (_empty, place_in_module(type(self)), self.__getstate__())

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, value: Any) -> Any:
        # FastAPI validates what an endpoint returns, so a row that comes without `read()` is served too.
        return instances.values_of(cls, value) if isinstance(value, Model) else value

    @classmethod
    def read(
        cls,
        rows: QuerySet[M] | Manager[M] | RawQuerySet[M] | Iterable[M],
        *,
        chosen: instances.Chosen = instances.every_row,
    ) -> list[Self]:
        """Returns a schema for each of `rows`, in their order. Call it on the thread of the ORM, as a plain ``def`` is.

        It takes one query, and one more for each relation to many rows, at every depth. What the queryset says (its
        filters, order, slice, annotations, database and prefetches) is honoured.

        Args:
            chosen: Says of a relation, a field of the model or the other side of one, which of its rows are shown: a
                queryset, or None for all. It is asked at every depth.

        Raises: TypeError, when `rows` are of another model or no rows at all; django.db.Error.
        """
        return cast("list[Self]", ways.read(cls, rows, chosen))

    @classmethod
    def read_first(
        cls, rows: QuerySet[M], limit: int, names: Sequence[str], *, chosen: instances.Chosen = instances.every_row
    ) -> First | None:
        """Returns what `read` does of the first `limit` of `rows`, and what the ends of the page have of `names`.

        The values of the ends are those by which the rows were found, since one query asks for both. What is left of
        the list begins behind them.

        Args:
            limit: At least 1.
            names: Columns and annotations, aliases among them.
            chosen: As in `read`.

        Returns: None where one query cannot do it: rows are made into instances, or the schema has a `read` of its own.
        """
        if getattr(cls.read, "__func__", None) is not ModelSchema.read.__func__:  # type: ignore[attr-defined]
            return None
        return ways.read_first(cls, rows, limit, names, chosen)

    @classmethod
    async def aread(
        cls,
        rows: QuerySet[M] | Manager[M] | RawQuerySet[M] | Iterable[M],
        *,
        chosen: instances.Chosen = instances.every_row,
    ) -> list[Self]:
        """Does the same for a coroutine: the queries run on the thread of the request."""
        return await sync_to_async(cls.read)(rows, chosen=chosen)

    @classmethod
    def read_json(cls, rows: QuerySet[M] | Manager[M] | RawQuerySet[M] | Iterable[M]) -> bytes:
        """Returns what `read` does as JSON. With ``Meta.way = "database"`` PostgreSQL makes it, where it can."""
        return ways.read_json(cls, rows)

    @classmethod
    async def aread_json(cls, rows: QuerySet[M] | Manager[M] | RawQuerySet[M] | Iterable[M]) -> bytes:
        """Does the same for a coroutine."""
        return await sync_to_async(cls.read_json)(rows)

    @classmethod
    def of(cls, row: M) -> Self:
        """Returns the schema of `row` as it is in memory. Relations that were not fetched take a query each."""
        return cast("Self", ways.of(cls, row))

    @classmethod
    async def aof(cls, row: M) -> Self:
        """Does the same for a coroutine."""
        return await sync_to_async(cls.of)(row)

    @classmethod
    def explain(cls) -> str:
        """Returns how rows are read and why so, with the queries it takes: a text for people. Asks no database."""
        return ways.explain(cls)


def _empty(module: str, path: str) -> BaseModel:
    """An object of a schema that pickle is about to fill."""
    # By the place where the class is, since its qualified name is changed for OpenAPI.
    schema: type[BaseModel] = attrgetter(path)(import_module(module))
    return schema.__new__(schema)


def _model_of(schema: type[BaseModel]) -> type[Model] | None:
    """The model that one of the classes above `schema` was given."""
    schemas = [above for above in schema.__mro__[1:] if issubclass(above, ModelSchema)]
    given = (argument for above in schemas for argument in above.__pydantic_generic_metadata__["args"])
    return next((each for each in given if isinstance(each, type) and issubclass(each, Model)), None)


class Reference(ModelSchema[M], Generic[M]):
    """What is shown of a row in the place of the row: its key, and by ``Meta.rel`` what a client finds it at.

    An answer has ``$rel``, the text of ``Meta.rel``, and ``$rel_params``, the fields by name.
    """

    @computed_field(alias="$rel")  # type: ignore[prop-decorator]
    @property
    def rel_(self) -> str:
        """What it leads to."""
        return declared(type(self)).options.rel or declared(type(self)).public_name

    @computed_field(alias="$rel_params")  # type: ignore[prop-decorator]
    @property
    def rel_params_(self) -> dict[str, Any]:
        """What tells which one is meant."""
        return {name: getattr(self, name) for name in type(self).model_fields}


S_co = TypeVar("S_co", bound=ModelSchema[Any], covariant=True)


class _Body(BaseModel):
    model_config = ConfigDict(populate_by_name=True, protected_namespaces=())

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What the model alone knows, type checkers take for Any."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not is_made(type(self)):
            return super().__reduce_ex__(protocol)
        plan = plan_of(type(self))
        [base] = [each for each in (Create, Update) if isinstance(self, each)]
        return (_empty_body, (base, *place_in_module(plan.schema), plan.purpose, plan.parent), self.__getstate__())

    def __getstate__(self) -> dict[Any, Any]:
        # MISSING is one object, and comes back from pickle as another.
        state = super().__getstate__()
        return {**state, "__dict__": {name: value for name, value in state["__dict__"].items() if value is not MISSING}}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        values = {**dict.fromkeys(type(self).model_fields, MISSING), **state["__dict__"]}
        super().__setstate__({**state, "__dict__": values})

    def changes(self) -> dict[str, Any]:
        """Returns what was sent, by the attributes of the schema, and what a subclass has a default for."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in found.items() if value is not MISSING}


def _empty_body(base: type[BaseModel], module: str, path: str, purpose: Purpose, parent: Any) -> BaseModel:
    """A body that pickle is about to fill."""
    body = body_model(base, attrgetter(path)(import_module(module)), purpose, parent)
    return body.__new__(body)


def _made_for(base: type[BaseModel], purpose: Purpose, parameters: Any) -> type[BaseModel] | None:
    if is_declared(parameters):
        return body_model(base, parameters, purpose, None)
    # A body of another class would take anything, and hold nothing.
    if isinstance(parameters, type) and not issubclass(parameters, ModelSchema):
        raise ConfigurationError(
            f"{base.__name__}[] got {parameters!r}. Give a schema of a model, as in {base.__name__}[CompanySchema]."
        )
    return None


class Create(_Body, Generic[S_co]):
    """What a client sends to make a row: ``Create[CompanySchema]`` is a Pydantic model.

    It has no key that the database makes; what has a default is optional. A subclass may take its place, with
    validators and fields of its own.
    """

    def __class_getitem__(cls, parameters: Any) -> Any:
        return _made_for(cls, "create", parameters) or super().__class_getitem__(parameters)

    def create(self: Create[ModelSchema[M]], **values: Any) -> M:
        """Returns the new row, saved with all that is nested in it. Call it on the thread of the ORM.

        Args:
            values: The server's own: they go before what was sent, and are validated with it.

        Raises:
            InvalidRow: `full_clean` refuses something; FastAPI answers it as the invalid body that it is.
            django.db.IntegrityError: A constraint of the database; under `mount()` it is answered 409.
            TypeError: The model has nothing of the name of one of `values`.
        """
        return cast("M", saving.create(self, values))

    async def acreate(self: Create[ModelSchema[M]], **values: Any) -> M:
        """Does the same for a coroutine."""
        return cast("M", await sync_to_async(saving.create)(self, values))

    @classmethod
    def bulk_create(
        cls: type[Create[ModelSchema[M]]], bodies: Iterable[Create[ModelSchema[M]]], /, **values: Any
    ) -> list[M]:
        """Returns a new row for each of `bodies`, saved by Django's `bulk_create()`. Call it on the thread of the ORM.

            Create[BookSchema].bulk_create(bodies, author=author)

        Each is validated as `create` does it, and against the others of the list; all are saved, or none. `save()` is
        not called, and `pre_save` and `post_save` are not sent. A database that tells no keys of rows that it inserts,
        as MySQL does, leaves the rows without them.

        Args:
            bodies: Of this class. The schema has neither nested rows nor a many-to-many to write.
            values: The server's own, for every row.

        Raises:
            InvalidRow: `full_clean` refuses something, or two bodies have what is unique. The paths begin with
                ``body`` and the place in the list.
            django.db.IntegrityError: A constraint of the database; under `mount()` it is answered 409.
            TypeError: Bodies of this class may hold nested rows; one of `bodies` is no such body; the model has nothing
                of the name of one of `values`.
            ValueError: The model has several tables.
        """
        return cast("list[M]", bulk.bulk_create(cls, bodies, values))

    @classmethod
    async def abulk_create(
        cls: type[Create[ModelSchema[M]]], bodies: Iterable[Create[ModelSchema[M]]], /, **values: Any
    ) -> list[M]:
        """Does the same for a coroutine."""
        return cast("list[M]", await sync_to_async(bulk.bulk_create)(cls, bodies, values))

    def replace(self: Create[ModelSchema[M]], row: M, **values: Any) -> M:
        """Returns `row` with the values that a new row would have, as PUT asks: what was not sent gets its default.

        Lists that were not sent stay, and so do fields whose default is another one each time, as with ``uuid4``. All
        else is as `Update.update` does it.
        """
        return cast("M", saving.replace(self, row, values))

    async def areplace(self: Create[ModelSchema[M]], row: M, **values: Any) -> M:
        """Does the same for a coroutine."""
        return cast("M", await sync_to_async(saving.replace)(self, row, values))


class Update(_Body, Generic[S_co]):
    """What a client sends to change a row: ``Update[CompanySchema]``. Nothing need be sent.

    What was not sent is `pydantic.MISSING`, and stays as it is; None is a value.
    """

    def __class_getitem__(cls, parameters: Any) -> Any:
        return _made_for(cls, "update", parameters) or super().__class_getitem__(parameters)

    def update(self: Update[ModelSchema[M]], row: M, **values: Any) -> M:
        """Returns `row`, changed as asked and saved where something did change. Call it on the thread of the ORM.

        What was not sent is neither validated nor saved, as in a ModelForm that has not the field. A list that was sent
        is the whole list: rows that are not in it are deleted, or unlinked from a many-to-many.

        Args:
            row: The row that is changed, and with it those that are nested in it.
            values: The server's own: they go before what was sent, and are validated with it.

        Raises: InvalidRow, django.db.IntegrityError and TypeError, as `Create.create` does.
        """
        return cast("M", saving.update(self, row, values))

    async def aupdate(self: Update[ModelSchema[M]], row: M, **values: Any) -> M:
        """Does the same for a coroutine."""
        return cast("M", await sync_to_async(saving.update)(self, row, values))
