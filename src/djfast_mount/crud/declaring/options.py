"""The arguments of `ModelRouter`, and the resource that they come to below a given parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, Literal, TypedDict

from django.db.models import NOT_PROVIDED, Model
from django.db.models.signals import pre_save
from fastapi.params import Depends
from pydantic import BaseModel

from djfast_mount.crud.access.scopes import ActionScopes, caller_of
from djfast_mount.crud.declaring.exposure import Exposure, exposure_of
from djfast_mount.crud.declaring.resource import Resource, foreign_key, keys_of, label_of, singular_of
from djfast_mount.crud.pages.paging import Cursor, Paging
from djfast_mount.crud.query.filters import Filters
from djfast_mount.crud.query.list_query import RESERVED
from djfast_mount.crud.query.ordering import Ordering
from djfast_mount.crud.query.searching import Search, Words
from djfast_mount.crud.writing.bodies import create_body, replace_body, update_body
from djfast_mount.crud.writing.deletion import Deletion
from djfast_mount.crud.writing.etags import IfMatch
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import declared, is_declared
from djfast_mount.spelling import did_you_mean

__all__ = [
    "RouteName",
    "RouterOptions",
    "check_creation",
    "check_options",
    "check_place",
    "child_exposures",
    "resource_of",
]

Body = bool | type[BaseModel]
RouteName = Literal[
    "list", "aggregate", "create", "bulk-create", "bulk-update", "detail", "replace", "update", "delete"
]


class RouterOptions(TypedDict, total=False):
    """The arguments of `ModelRouter` but its schema; the last ones are those of `APIRouter`."""

    create: Body
    update: Body
    replace: Body
    delete: bool | Deletion
    security: Any
    scopes: ActionScopes | None
    permissions: Literal["django"] | None
    rows: Callable[..., Any] | None
    related_rows: Mapping[type[Model], Callable[..., Any]]
    server_values: Callable[..., Any] | None
    filters: Literal["default", "all"] | Sequence[str]
    document_filters: bool
    order_by: Sequence[str] | None
    search: Sequence[str] | Search
    page: Paging
    if_match: IfMatch
    aggregate: bool | Sequence[str]
    group_by: Sequence[str] | None
    cache_control: str | None
    lookup: str | None
    parent: str | None
    name: str | None
    without: Sequence[RouteName]
    asynchronous: bool
    hooks: Mapping[str, Callable[..., Any]]
    tags: list[str | Enum] | None
    dependencies: Sequence[Depends] | None
    responses: dict[int | str, dict[str, Any]] | None
    deprecated: bool | None
    include_in_schema: bool
    lifespan: Any
    route_class: Any
    generate_unique_id_function: Any


def check_options(schema: Any, options: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when `schema` is none of a model; TypeError for an argument that there is not."""
    if not is_declared(schema):
        raise ConfigurationError(
            f"ModelRouter() got {schema!r}. Give a schema of a model: class CompanySchema(ModelSchema[Company])."
        )
    known = RouterOptions.__annotations__
    for name in options:
        if name not in known:
            told = did_you_mean(name, known, f"The arguments are {', '.join(known)}.")
            raise TypeError(f"ModelRouter() got an unexpected keyword argument {name!r}. {told}")


def check_place(schema: Any, prefix: Any, children: Any, router: type) -> None:
    """Raises ConfigurationError when `prefix` is no path, or `children` are no list of instances of `router`."""
    label = label_of(schema, prefix)
    if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/"):
        raise ConfigurationError(
            f'{label}: prefix= must begin with "/", and not end with it. Write a path, as in prefix="/companies".'
        )
    wrong = [children] if isinstance(children, router) or not isinstance(children, Iterable) else children
    for child in wrong:
        if wrong is not children or not isinstance(child, router):
            raise ConfigurationError(
                f"{label}: children= got {child!r}. Give a list of ModelRouters, as in "
                'children=[ModelRouter(DepartmentSchema, prefix="/departments")].'
            )


def check_creation(resource: Resource, options: RouterOptions) -> None:
    """Raises ConfigurationError when no row can be created, since nothing sets a field that is read-only.

    A model that overrides `save()`, or has a receiver of `pre_save`, may set it.
    """
    model, read_only = resource.model, set(declared(resource.schema).options.read_only)
    if options.get("create") is not True or options.get("server_values") is not None:
        return
    if model.save is not Model.save or pre_save.has_listeners(model):
        return
    for field in model._meta.concrete_fields:
        if field is resource.parent_key or read_only.isdisjoint((field.name, field.attname)):
            continue
        if _must_be_set(field):
            raise ConfigurationError(
                f"{resource.label}: create=True, and nothing sets the field {field.name!r}, which is required and in "
                f"Meta.read_only. Set it by server_values=, give {model.__name__}.{field.name} a default, or take it "
                "out of read_only."
            )


def _must_be_set(field: Any) -> bool:
    sets_itself = field.primary_key or field.generated or getattr(field, "auto_now", False)
    if sets_itself or getattr(field, "auto_now_add", False) or field.db_default is not NOT_PROVIDED:
        return False
    own = type(field).pre_save.__module__.startswith("django.db.models.")
    return bool(own and not field.null and field.get_default() is None)


def child_exposures(schema: Any, children: Mapping[Any, Exposure]) -> Exposure:
    """Returns what a resource shows: its schema, and its children by the relations that lead to them.

    Args:
        children: By the foreign key of each.
    """
    related = {key.remote_field.get_accessor_name(): found for key, found in children.items() if key.remote_field.name}
    return exposure_of(schema, related)


def resource_of(
    schema: Any, options: RouterOptions, exposure: Exposure, hooks: Any, prefix: str, parent: Resource | None
) -> Resource:
    """Returns the resource that the arguments of a `ModelRouter` come to below `parent`. Raises: ConfigurationError."""
    model = declared(schema).model
    plural = prefix.strip("/").rpartition("/")[2].replace("-", "_")
    parent_key = foreign_key(model, parent.model, options.get("parent")) if parent is not None else None
    name = options.get("name") or singular_of(model, parent.name if parent is not None else None)
    deletion = _deletion(options.get("delete", False), model)
    search = _search(options.get("search", ()), model)
    skip = {"tenant_id"} if parent_key is None else {"tenant_id", parent_key.name, parent_key.attname}
    own_rows = options.get("rows")
    security = options.get("security")
    return Resource(
        schema=schema,
        model=model,
        exposure=exposure,
        name=name,
        plural=plural or f"{name}s",
        keys=keys_of(model, name, options.get("lookup")),
        filters=Filters(exposure, options.get("filters", "default"), reserved=RESERVED, skip=skip),
        ordering=Ordering(exposure, options.get("order_by")),
        paging=options.get("page") or Cursor(),
        search=search,
        deletion=deletion,
        deletes=bool(options.get("delete", False)),
        make_bodies=partial(_bodies, schema, options, parent_key),
        hooks=hooks,
        rows={**options.get("related_rows", {}), **({} if own_rows is None else {model: own_rows})},
        server_values=options.get("server_values"),
        caller=caller_of(security) if security is not None else (parent.caller if parent is not None else None),
        scopes=_scopes(options.get("scopes"), parent),
        permissions=options.get("permissions") or (parent.permissions if parent is not None else None),
        if_match=options.get("if_match", "optional"),
        cache_control=options.get("cache_control"),
        parent=parent,
        parent_key=parent_key,
        prefix=prefix,
    )


def _scopes(own: ActionScopes | None, parent: Resource | None) -> ActionScopes:
    if own is not None or parent is None:
        return own or ActionScopes()
    return parent.scopes.for_children()


def _deletion(given: bool | Deletion, model: type[Model]) -> Deletion:
    deletion = given if isinstance(given, Deletion) else Deletion()
    deletion.check(model)
    return deletion


def _search(given: Sequence[str] | Search, model: type[Model]) -> Search | None:
    if not given:
        return None
    search = given if isinstance(given, Search) else Words(given)
    search.check(model)
    return search


def _bodies(schema: Any, options: RouterOptions, parent_key: Any) -> dict[str, type[BaseModel]]:
    create, update = options.get("create", False), options.get("update", False)
    replace = options.get("replace", bool(update))
    bodies: dict[str, type[BaseModel]] = {}
    if create:
        bodies["create"] = create_body(schema, parent_key) if create is True else create
    if update:
        bodies["update"] = update_body(schema, parent_key) if update is True else update
    if replace:
        whole = replace_body(update_body(schema, parent_key), create_body(schema, parent_key))
        bodies["replace"] = whole if replace is True else replace
    return bodies
