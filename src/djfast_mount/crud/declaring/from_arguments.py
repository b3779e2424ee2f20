"""The resource that the arguments of a `ModelRouter` come to below a given parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db.models import Model
from pydantic import BaseModel

from djfast_mount.crud.access.scopes import ActionScopes, CheckOf, caller_of
from djfast_mount.crud.declaring.exposure import Exposure
from djfast_mount.crud.declaring.exposure_of_schema import exposure_of, masked_fields, needed_relations, nested_models
from djfast_mount.crud.declaring.keys import foreign_key, keys_of, singular_of
from djfast_mount.crud.declaring.options import Hooks, RouterOptions
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.pages.cursors import Cursor
from djfast_mount.crud.query.filters import RESERVED, Filters
from djfast_mount.crud.query.ordering import Ordering
from djfast_mount.crud.query.searching import Search, Words
from djfast_mount.crud.writing.deletion import Deletion
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import declared

__all__ = ["check_parent", "resource_of", "whole_exposure"]


def check_parent(resource: Resource, options: RouterOptions) -> None:
    """Raises ConfigurationError when ``parent`` names a foreign key, and the router is below no other."""
    if resource.parent is None and options.get("parent") is not None:
        raise ConfigurationError(
            f"{resource.label}: parent= names {options['parent']!r}, and the router is no child of another. Put it "
            "into the children= of the parent's router, or take parent= out."
        )


def whole_exposure(schema: Any, children: Iterable[tuple[Any, str | None, Exposure]]) -> Exposure:
    """Returns what a resource shows: its schema, and its children by the relations that lead to them.

    Args:
        children: The schema of each, its argument ``parent``, and what it shows.
    """
    related = {}
    for child, parent, shown in children:
        key = foreign_key(declared(child).model, declared(schema).model, parent)
        # With related_name="+" there is no way down for a filter to go.
        if not key.remote_field.hidden:
            related[key.remote_field.get_accessor_name()] = shown
    return exposure_of(schema, related)


def resource_of(
    schema: Any,
    options: RouterOptions,
    exposure: Exposure,
    make_bodies: Callable[[Any], Mapping[str, type[BaseModel]]],
    router: Any,
    prefix: str,
    parent: Resource | None,
    check_of: CheckOf,
) -> Resource:
    """Returns the resource that the arguments of a `ModelRouter` come to below `parent`. Raises: ConfigurationError.

    Args:
        make_bodies: Makes the bodies by action, without the foreign key that it is given.
        router: The `ModelRouter`, whose methods a project may override.
        check_of: What is asked besides `security`, as `caller_of` takes it.
    """
    model = declared(schema).model
    plural = prefix.strip("/").rpartition("/")[2].replace("-", "_")
    parent_key = foreign_key(model, parent.model, options.get("parent")) if parent is not None else None
    name = options.get("name") or singular_of(model, parent.name if parent is not None else None)
    deletion = _deletion(options.get("delete", False), model)
    search = _search(options.get("search", ()), schema)
    # The path says which parent a row has: a filter could only contradict it.
    skip = set() if parent_key is None else {parent_key.name, parent_key.attname}
    own_rows = options.get("rows")
    return Resource(
        schema=schema,
        model=model,
        exposure=exposure,
        name=name,
        plural=plural or f"{name}s",
        keys=keys_of(model, name, options.get("lookup")),
        filters=Filters(exposure, options.get("filters", "default"), reserved=RESERVED, skip=skip),
        ordering=Ordering(exposure, options.get("order_by")),
        paging=_paging(options, exposure),
        search=search,
        deletion=deletion,
        deletes=bool(options.get("delete", False)),
        make_bodies=partial(make_bodies, parent_key),
        find_needed=partial(needed_relations, schema),
        find_nested=partial(nested_models, schema),
        hooks=Hooks(router),
        rows={**options.get("related_rows", {}), **({} if own_rows is None else {model: own_rows})},
        server_values=options.get("server_values"),
        caller=_caller(options, parent, check_of),
        scopes=_scopes(options.get("scopes"), parent),
        takes_scopes_over=parent is not None and options.get("scopes") is None,
        permissions=options.get("permissions") or (parent.permissions if parent is not None else None),
        if_match=options.get("if_match", "optional"),
        form=options.get("form", False),
        max_file_size=options.get("max_file_size"),
        cache_control=options.get("cache_control"),
        parent=parent,
        parent_key=parent_key,
        prefix=prefix,
    )


def _paging(options: RouterOptions, exposure: Exposure) -> Any:
    found = options.get("page") or Cursor()
    # The key ends every order, and cursors have it in the clear. Without `lookup` paths have it anyway.
    if isinstance(found, Cursor) and options.get("lookup"):
        for field in exposure.model._meta.pk_fields:
            if told := exposure.why_hidden("page=Cursor()", field.name):
                raise ConfigurationError(told)
    return found


def _caller(options: RouterOptions, parent: Resource | None, check_of: CheckOf) -> Callable[..., Any] | None:
    if (security := options.get("security")) is not None:
        return caller_of(security, check_of)
    # Children take the caller over: a child that forgot `security=` must not be an open door below a closed one.
    return parent.caller if parent is not None else None


def _scopes(own: ActionScopes | None, parent: Resource | None) -> ActionScopes:
    if own is not None or parent is None:
        return own or ActionScopes()
    return parent.scopes.for_children()


def _deletion(given: bool | Deletion, model: type[Model]) -> Deletion:
    deletion = given if isinstance(given, Deletion) else Deletion()
    deletion.check(model)
    return deletion


def _search(given: Sequence[str] | Search, schema: Any) -> Search | None:
    if not given:
        return None
    search = given if isinstance(given, Search) else Words(given)
    search.check(declared(schema).model)
    masked = masked_fields(schema)
    for name in search.fields:
        # A search that finds a row by a hidden field tells its content one letter at a time.
        if name in masked or any(name.startswith(f"{each}__") for each in masked):
            raise ConfigurationError(
                f"search= names {name!r}, which {schema.__name__} shows to some callers alone: a search would tell "
                "everybody. Take it out of search=."
            )
    return search
