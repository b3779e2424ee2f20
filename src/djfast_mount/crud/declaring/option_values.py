"""What each argument of `ModelRouter` may be, whatever the model is: all else is refused when the router is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from django.db.models import Model
from pydantic import BaseModel

from djfast_mount.crud.access.scopes import ActionScopes
from djfast_mount.crud.pages.paging import Paging
from djfast_mount.crud.query.filters import OwnFilters
from djfast_mount.crud.query.searching import Search
from djfast_mount.crud.writing.deletion import Deletion
from djfast_mount.crud.writing.etags import IfMatch
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import are_names, did_you_mean

__all__ = ["RouteName", "check_values"]

RouteName = Literal[
    "list", "aggregate", "create", "bulk-create", "bulk-update", "detail", "replace", "update", "delete"
]

_ROUTES = get_args(RouteName)


def _is_body(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, type) and issubclass(value, BaseModel))


def _is_rule(value: Any) -> bool:
    return value is None or callable(value)


def _are_rules(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(model, type) and issubclass(model, Model) and callable(rule) for model, rule in value.items()
    )


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def _is_name(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.isidentifier())


def _is_header(value: Any) -> bool:
    # Of a header, RFC 9110, section 5.5: what is not printable could end it, and begin another one.
    return value is None or (isinstance(value, str) and value.strip() != "" and value.isascii() and value.isprintable())


def _are_hooks(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(callable, value.values()))


_A_BODY = "Write True, False, or a class of bodies, a subclass of {0}, as in {1}={0}[CompanySchema]."
_NAMES = 'Write a list of names, as in {}=["name"].'

# Of each argument: what it may be, and what to write.
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "create": (_is_body, _A_BODY.format("Create", "create")),
    "update": (_is_body, _A_BODY.format("Update", "update")),
    "replace": (lambda value: value is None or _is_body(value), _A_BODY.format("Update", "replace")),
    "delete": (
        # A truthy value that says something else, a class without its parentheses say, would delete the rows.
        lambda value: isinstance(value, bool | Deletion),
        'Write True, False, or what DELETE does, as in delete=SoftDelete(status="closed").',
    ),
    "scopes": (
        lambda value: value is None or isinstance(value, ActionScopes),
        'Write them for each action, as in scopes=ActionScopes(read=["companies.read"]).',
    ),
    "permissions": (lambda value: value in (None, "django"), 'Write permissions="django", or None.'),
    "rows": (_is_rule, "Give a function that returns a Q, as in rows=lambda access: Q(owner=access)."),
    "related_rows": (
        _are_rules,
        "Give a function that returns a Q for each model, as in related_rows={Label: every_row}.",
    ),
    "server_values": (_is_rule, "Give a function that returns a dict."),
    "filters": (
        lambda value: value in ("default", "all") or isinstance(value, OwnFilters) or are_names(value),
        'Write "default", "all", or a list of names, as in filters=["name"].',
    ),
    "order_by": (lambda value: value is None or are_names(value), _NAMES.format("order_by")),
    "search": (lambda value: isinstance(value, Search) or are_names(value), _NAMES.format("search")),
    "page": (
        lambda value: isinstance(value, Paging),
        "Make a Cursor, a LimitOffset or a PageNumber, as in page=Cursor(limit=50).",
    ),
    "if_match": (
        lambda value: value in get_args(IfMatch),
        f"Write one of {', '.join(map(repr, get_args(IfMatch)))}.",
    ),
    "aggregate": (
        lambda value: isinstance(value, bool) or are_names(value),
        'Write True, False, or a list of names, as in aggregate=["size"].',
    ),
    "group_by": (lambda value: value is None or are_names(value), _NAMES.format("group_by")),
    "document_filters": (_is_bool, "Write True or False."),
    "form": (_is_bool, "Write True or False."),
    "asynchronous": (_is_bool, "Write True or False."),
    "max_file_size": (_is_size, "Write a number of bytes from 1 on, as in max_file_size=5 * 2**20, or None."),
    "cache_control": (_is_header, 'Write the value of the header, as in cache_control="max-age=60", or None.'),
    "name": (_is_name, 'Write a name that can be a part of Python names, as in name="company", or None.'),
    "parent": (_is_name, 'Write the name of the foreign key to the parent, as in parent="company", or None.'),
    "hooks": (_are_hooks, 'Give a function for each method, as in hooks={"create_row": create_company}.'),
    "without": (
        are_names,
        f'Write a list of routes, as in without=["list"]. They are {", ".join(_ROUTES)}.',
    ),
}


def check_values(label: str, options: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when one of the `options` is nothing that it may be."""
    for name, value in options.items():
        fits, remedy = _CHECKS.get(name, (None, ""))
        if fits is not None and not fits(value):
            raise ConfigurationError(f"{label}: {name}= got {value!r}. {remedy}")
    for route in options.get("without", ()):
        # A misspelt name would leave the route open.
        if route not in _ROUTES:
            told = did_you_mean(route, _ROUTES, f"They are {', '.join(_ROUTES)}.")
            raise ConfigurationError(f"{label}: without= names {route!r}, and there is no such route. {told}")
