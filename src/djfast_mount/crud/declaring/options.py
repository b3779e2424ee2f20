"""The arguments of `ModelRouter`, and what is wrong with them whatever the model is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypedDict

from asgiref.sync import async_to_sync
from django.db.models import Model
from fastapi.params import Depends
from pydantic import BaseModel

from djfast_mount.crud.access.scopes import ActionScopes
from djfast_mount.crud.declaring.option_values import RouteName, check_values
from djfast_mount.crud.declaring.resource import label_of
from djfast_mount.crud.pages.paging import Paging
from djfast_mount.crud.query.filters import OwnFilters
from djfast_mount.crud.query.searching import Search
from djfast_mount.crud.writing.deletion import Deletion
from djfast_mount.crud.writing.etags import IfMatch
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import is_declared
from djfast_mount.spelling import did_you_mean

__all__ = ["HOOKS", "Hooks", "RouterOptions", "check_options", "check_place"]

HOOKS = ("queryset", "search_rows", "create_row", "update_row", "replace_row", "delete_row")
Body = bool | type[BaseModel]


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
    filters: Literal["default", "all"] | Sequence[str] | OwnFilters
    document_filters: bool
    order_by: Sequence[str] | None
    search: Sequence[str] | Search
    page: Paging
    if_match: IfMatch
    form: bool
    max_file_size: int | None
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
    form_limits: Any


def check_options(schema: Any, prefix: str, options: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when `schema` is none of a model, or an argument is nothing that it may be; TypeError
    for one that there is not."""
    if not is_declared(schema):
        raise ConfigurationError(
            f"ModelRouter() got {schema!r}. Give a schema of a model: class CompanySchema(ModelSchema[Company])."
        )
    # `**options: Unpack[RouterOptions]` is checked by type checkers alone. A misspelt `securty=` must not be an open
    # router at run time.
    known = RouterOptions.__annotations__
    for name in options:
        if name not in known:
            told = did_you_mean(name, known, f"The arguments are {', '.join(known)}.")
            raise TypeError(f"ModelRouter() got an unexpected keyword argument {name!r}. {told}")
    check_values(label_of(schema, prefix), options)
    for name in options.get("hooks", {}):
        if name not in HOOKS:
            raise ConfigurationError(f"hooks= has {name!r}. The hooks are {', '.join(HOOKS)}.")
    _check_used(label_of(schema, prefix), options)


# By hook, the arguments that make a route which calls it.
_CALLED_WITH = {
    "search_rows": ("search",),
    "create_row": ("create",),
    "update_row": ("update",),
    "replace_row": ("replace", "update"),
    "delete_row": ("delete",),
}


def _check_used(label: str, options: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when an argument says something of what the router does not have."""
    for name in options.get("hooks", {}):
        needed = _CALLED_WITH.get(name)
        if needed and not any(options.get(each) for each in needed):
            raise ConfigurationError(
                f"{label}: hooks= has {name!r}, which nothing calls. Switch on {needed[-1]}=, or take it out."
            )
    if options.get("group_by") and options.get("aggregate") is False:
        raise ConfigurationError(
            f"{label}: group_by= names groups of numbers, and aggregate=False leaves the numbers out. Take one of them "
            "out."
        )


def check_place(schema: Any, prefix: Any, children: Any, router: type) -> None:
    """Raises ConfigurationError when `prefix` is no path, or `children` are no list of instances of `router`."""
    label = label_of(schema, prefix)
    if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/"):
        raise ConfigurationError(
            f'{label}: prefix= must begin with "/", and not end with it. Write a path, as in prefix="/companies".'
        )
    # The commonest mistake is one child without its list.
    wrong = [children] if isinstance(children, router) or not isinstance(children, Iterable) else children
    for child in wrong:
        if wrong is not children or not isinstance(child, router):
            raise ConfigurationError(
                f"{label}: children= got {child!r}. Give a list of ModelRouters, as in "
                'children=[ModelRouter(DepartmentSchema, prefix="/departments")].'
            )


class Hooks:
    """Calls these methods of a router, coroutines among them, from the thread.

    Args:
        router: The `ModelRouter`.
    """

    def __init__(self, router: Any) -> None:
        self._router = router

    def is_own(self, name: str) -> bool:
        """Whether the project has written the method `name`."""
        return name in self._router.own_hooks

    def __getattr__(self, name: str) -> Any:
        hook = getattr(self._router, name)
        # On the server's loop, while this thread waits: transactions are bound to the thread, so the write itself
        # cannot be a coroutine.
        return async_to_sync(hook) if inspect.iscoroutinefunction(hook) else hook
