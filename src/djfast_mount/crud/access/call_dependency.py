"""The dependency that makes the `Call` of a request: who calls, what they may do, and the rows above in the path.

1. First who calls (401), then what they may do (403), then the parents (404), then the format of the body (415): each
   before the next is asked.
2. A parent must be visible itself, and a child of the parent before it.
3. A call that writes asks one database alone: the one to which it writes. Another may be behind.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from django.db import router
from django.db.models import Model, Q, QuerySet
from fastapi import Depends, Request

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.access.callers import check_callers, check_named_scopes, handed
from djfast_mount.crud.access.rows_in_bodies import check_once
from djfast_mount.crud.access.scopes import WRITES, Action, check_permission, check_scopes
from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.exceptions import ConfigurationError

__all__ = ["CallOf"]


class CallOf:
    """A dependency: the `Call` of a request to `resource`. It runs on the request thread.

    Two of the same resource, action and check are one to FastAPI, which calls it once.

    Args:
        check: Refuses the format of the body by an HTTPException. Who may not write hears that first.
    """

    def __init__(self, resource: Resource, action: Action, check: Callable[[Request], None] | None = None) -> None:
        self.resource = resource
        self._action = action
        self._check = check
        check_callers(resource)
        check_named_scopes(resource, action)
        self._rules = _rules(resource)
        self.__signature__ = inspect.Signature(list(self._parameters()))

    def __eq__(self, other: object) -> bool:
        # FastAPI caches a dependency by equality within one request. Without this a route that asks for its row, and is
        # guarded by `allowing()` besides, would ask who calls and look up the parents twice.
        if not isinstance(other, CallOf):
            return False
        return self.resource is other.resource and (self._action, self._check) == (other._action, other._check)

    def __hash__(self) -> int:
        return hash((id(self.resource), self._action, self._check))

    def __call__(self, request: Request, access: Any = None, **values: Any) -> Call:
        resource, action = self.resource, self._action
        # Not when the router is made: related rules may be of routers that are included later. `mount()` and the
        # lifespan look too, but a server may run without both, and then this is the only look.
        check_once(resource.root())
        if resource.caller is not None:
            check_scopes(access, resource.wanted_scopes(action))
        # The other actions have a row: a backend with permissions for single objects is asked about it in
        # `check_row_permission()`.
        if resource.permissions is not None and action in ("list", "aggregate", "create"):
            check_permission(access, resource.permission(action))
        if resource.permissions is not None and action in ("list", "aggregate"):
            resource.check_nested(access)
        call = Call(resource, action, request, access, self._visibility(values), (), _server_values(values))
        for parent in resource.parents():
            # With the visibility of this call: the rules of a parent were asked once already, in the parameters, and
            # each may cost a query.
            above = Call(parent, "read", request, access, call.visibility, call.parents)
            row = above.find({key.parameter: values[key.parameter] for key in parent.keys})
            call.parents = (*call.parents, row)
        # Here, and not in the endpoint: FastAPI validates the body before that, and would name fields as missing that
        # were sent in another format.
        if self._check is not None:
            self._check(request)
        return call

    def _visibility(self, values: Mapping[str, Any]) -> Visibility:
        # `db_for_read` may name a replica, which has not seen the last writes, and whose rows no lock holds.
        visibility = Visibility(router.db_for_write(self.resource.model) if self._action in WRITES else None)
        for number, (model, _) in enumerate(self._rules):
            visibility.add(model, _condition(values[f"rows_{number}"]))
        # The whole tree, and not the way to this resource alone: a filter, a body or a count may name rows of a
        # sibling.
        root = self.resource.root()
        outermost = root.model._meta.concrete_model
        for resource in root.walk():
            visibility.add_gone(resource.model, resource.deletion.gone)
        if not visibility.has_rules:
            return visibility
        for resource in root.walk():
            for model, relation in resource.needed:
                visibility.add_needed(model, relation)
        for resource in root.walk():
            # A child whose parent is hidden is hidden by any other way that leads to it, too: by a filter, a nested
            # list or a key in a body. Rows of the outermost model are asked for without a parent.
            if resource.parent is not None and resource.model._meta.concrete_model is not outermost:
                visibility.add_place(resource.model, resource.parent_key, resource.parent.model)
        return visibility

    def _parameters(self) -> Any:
        keyword = inspect.Parameter.KEYWORD_ONLY
        resource = self.resource
        yield inspect.Parameter("request", keyword, annotation=Request)
        if resource.caller is not None:
            yield inspect.Parameter("access", keyword, annotation=Annotated[Any, Depends(resource.caller)])
        for number, (_, rule) in enumerate(self._rules):
            # A parameter of its own for each rule, so that FastAPI resolves, caches and overrides
            # (`dependency_overrides`) rules as any other dependency.
            dependency = Depends(handed(rule, resource.caller))
            yield inspect.Parameter(f"rows_{number}", keyword, annotation=Annotated[Any, dependency])
        if self._action == "create" and resource.server_values is not None:
            dependency = Depends(handed(resource.server_values, resource.caller))
            yield inspect.Parameter("server_values", keyword, annotation=Annotated[Any, dependency])
        for parent in resource.parents():
            for key in parent.keys:
                yield inspect.Parameter(key.parameter, keyword, annotation=key.type)


def _rules(resource: Resource) -> list[tuple[type[Model], Callable[..., Any]]]:
    """Every rule of the tree that `resource` is in."""
    # Of the whole tree, since a filter or a body may name any of its models.
    return [(model, rule) for each in resource.root().walk() for model, rule in each.rows.items()]


def _server_values(values: Mapping[str, Any]) -> Mapping[str, Any]:
    found = values.get("server_values", {})
    # None, which a function without a `return` gives, would leave out the tenant.
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"server_values= returned {found!r}. Return a dict, and {{}} to set nothing.")
    return found


def _condition(rule: Any) -> Q:
    # Its repr would ask the database, and put rows into the log.
    if isinstance(rule, QuerySet):
        name = rule.model.__name__
        raise ConfigurationError(
            f"rows= returned a QuerySet of {name}. Return the Q that you would give to filter(), as in "
            "Q(owner=access.user), or Q(pk__in=queryset)."
        )
    # None, which a function without a `return` gives, must not mean "every row".
    if not isinstance(rule, Q):
        raise ConfigurationError(f"rows= returned {rule!r}. Return a Q: Q() for every row, Q(pk__in=[]) for none.")
    return rule
