"""The bodies of writes: those of a schema, without the foreign key that the path names, and those of whole rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from django.db.models import Model
from pydantic import MISSING, BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.writing.creation import check_creation
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.model_schema import Create, Update
from djfast_mount.schemas.writing.body_models import body_model
from djfast_mount.schemas.writing.saving import reset_values
from djfast_mount.schemas.writing.slots import has_plan, plan_of

__all__ = ["bodies_of", "check_bodies", "create_body", "replace_body", "replaced", "update_body"]


def create_body(schema: Any, parent_key: Any = None) -> type[BaseModel]:
    """Returns the body of a new row of `schema`. The path says which parent it has."""
    return body_model(Create, schema, "create", parent_key)


def update_body(schema: Any, parent_key: Any = None) -> type[BaseModel]:
    """Returns the body of a partial change."""
    return body_model(Update, schema, "update", parent_key)


def bodies_of(schema: Any, options: Mapping[str, Any], parent_key: Any) -> dict[str, type[BaseModel]]:
    """Returns the class of each body, by action, that the arguments of a router ask for."""
    create, update = options.get("create", False), options.get("update", False)
    # PUT needs no declaration of its own: a row that may be changed in part may be changed as a whole.
    replace = bool(update) if options.get("replace") is None else options["replace"]
    bodies: dict[str, type[BaseModel]] = {}
    if create:
        bodies["create"] = create_body(schema, parent_key) if create is True else create
    if update:
        bodies["update"] = update_body(schema, parent_key) if update is True else update
    if replace:
        # A body of the project's own checks whole rows as it checks changes: no method passes its validators by.
        change = update if has_plan(update) else update_body(schema, parent_key)
        whole = replace_body(change, create_body(schema, parent_key))
        bodies["replace"] = whole if replace is True else replace
    return bodies


def check_bodies(resource: Resource, own: Collection[str], options: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when the class of a body is of another kind, or of another model, or makes no row.

    Args:
        own: The hooks that the project has written. What they do with a body, nobody knows.
        options: The arguments of the router.
    """
    if "create_row" not in own:
        check_creation(resource, options)
    for action, body in resource.bodies.items():
        kind = Create if action == "create" else Update
        hooked = any(each.partition("_")[0] == action for each in own)
        if not has_plan(body) or not (hooked or issubclass(body, kind)):
            raise ConfigurationError(
                f"{resource.label}: {action}= got {body!r}. Give a subclass of {kind.__name__}, as in class "
                f"Body({kind.__name__}[{resource.schema.__name__}]): ..."
            )
        made = plan_of(body).model
        if not hooked and not _fits(action, made, resource.model):
            raise ConfigurationError(
                f"{resource.label}: {action}= got {body!r}, a body of {made.__name__}, and the rows are of "
                f"{resource.model.__name__}. Give a body of a schema of {resource.model.__name__}."
            )


def _fits(action: str, made: type[Model], model: type[Model]) -> bool:
    # A proxy has the same rows. A new row of a child model is one of the model; a change may be of a parent's columns.
    if made._meta.concrete_model is model._meta.concrete_model:
        return True
    return issubclass(made, model) if action == "create" else issubclass(model, made)


@cache
def replace_body(update: type[BaseModel], create: type[BaseModel]) -> type[BaseModel]:
    """Returns the body of PUT: that of a change, in which everything must be sent that a new row needs."""
    required = plan_of(create).required
    fields = {name: _required(info) for name, info in update.model_fields.items() if name in required}
    name = f"{update.__name__.removesuffix('Update')}Replace"
    return create_model(name, __base__=update, __module__=update.__module__, **fields)


def replaced(row: Model, body: Any) -> Model:
    """Returns `row`, changed to what PUT of `body` asks for. Raises: RequestValidationError."""
    return body.update(row, **reset_values(body))  # type: ignore[no-any-return]


def _required(info: FieldInfo) -> Any:
    annotation: Any = info.annotation
    if get_origin(annotation) is Union:
        # MISSING is what makes a field of a partial change optional. A whole row has no such fields.
        annotation = Union[tuple(each for each in get_args(annotation) if each is not MISSING)]  # noqa: UP007
    if info.metadata:
        annotation = Annotated[annotation, *info.metadata]
    return annotation, Field(alias=info.alias, description=info.description, json_schema_extra=info.json_schema_extra)
