"""Who calls, and what they may do: whatever `security` returns, and the scopes of each action.

1. Where `security` is set, a call without a caller is 401, scopes or not.
2. A caller who has no scopes to show passes no scope check.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol, get_args, get_origin, runtime_checkable

from django.db.models import Model
from fastapi import Depends, HTTPException
from fastapi.params import Depends as DependsMarker

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import are_names

__all__ = [
    "WRITES",
    "Access",
    "Action",
    "ActionScopes",
    "CheckOf",
    "caller_of",
    "check_permission",
    "check_scopes",
    "has_permission",
    "has_scope",
    "has_scopes",
    "permission_of",
]

Action = Literal["list", "read", "aggregate", "create", "update", "replace", "delete"]
WRITES: frozenset[Action] = frozenset({"create", "update", "replace", "delete"})


@runtime_checkable
class Access(Protocol):
    """What scopes ask of whatever `security` returns. Users of Django's need not have it: their scopes are permissions.

    `djfast_mount.crud.jwt.JWT` and `djfast_mount.tokens` return objects that have it.
    """

    # A protocol, so that any object of a project's own will do, and no class of ours has to be subclassed.
    def has_scope(self, scope: str) -> bool:
        """Whether the caller may do what `scope` stands for."""
        ...


@dataclass(frozen=True)
class ActionScopes:
    """The scopes of each action. Any one of them is enough; with none, a valid token is enough.

    Args:
        create: None: none are named. If others are, and the action is switched on, the start is refused; an empty list
            says that it needs none. So with `update` and `delete`.
        list: None for those of `read`; so with `aggregate`.
        replace: Those of PUT; None for those of `update`.

    Raises:
        ConfigurationError: The scopes of an action are no list.
    """

    read: Sequence[str] = ()
    create: Sequence[str] | None = None
    update: Sequence[str] | None = None
    delete: Sequence[str] | None = None
    # None and an empty list differ: None takes the scopes of `read` over, an empty list asks for none.
    list: Sequence[str] | None = None
    aggregate: Sequence[str] | None = None
    replace: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            # A text is a sequence too: any letter of it would be enough.
            if value is not None and not are_names(value):
                raise ConfigurationError(
                    f'ActionScopes() got {each.name}={value!r}. Write a list, as in {each.name}=["companies.read"].'
                )

    def of(self, action: Action) -> Sequence[str]:
        """Returns the scopes of `action`."""
        fallback = {"replace": self.update, "list": self.read, "aggregate": self.read}.get(action)
        found: Sequence[str] | None = getattr(self, action)
        return (fallback if found is None else found) or ()

    def names(self, action: Action) -> bool:
        """Whether it says what the write `action` needs, be it nothing."""
        return getattr(self, action) is not None or (action == "replace" and self.update is not None)

    def some(self) -> bool:
        """Whether any action needs one."""
        return any(getattr(self, each.name) for each in fields(self))

    def for_children(self) -> ActionScopes:
        """Returns the scopes of children that have none: to write one, the caller must be able to update its parent."""
        return ActionScopes(
            read=self.read,
            create=self.update,
            update=self.update,
            delete=self.update,
            list=self.list,
            aggregate=self.aggregate,
        )


def has_scope(access: Any, scope: str) -> bool:
    """Whether `access` has `scope`: by its own word, or as a permission of a user of Django's.

    Runs on the request thread. Raises: ConfigurationError, when it can tell neither.
    """
    # Before `has_perm`: an object may have both, as a token that carries its user does. Its scopes are narrower than
    # the user's permissions.
    if isinstance(access, Access):
        return access.has_scope(scope)
    if hasattr(access, "has_perm"):
        return bool(access.has_perm(scope))
    raise ConfigurationError(
        f"security= returned a {type(access).__qualname__}, and scopes are asked of it. Return an object with a method "
        "has_scope(scope), or a user of Django's."
    )


def has_scopes(access: Any, wanted: Iterable[Sequence[str]]) -> bool:
    """Whether `access` has one scope of each of the `wanted`. Runs on the request thread."""
    return all(any(has_scope(access, scope) for scope in scopes) for scopes in wanted)


def check_scopes(access: Any, wanted: Iterable[Sequence[str]]) -> None:
    """Raises HTTPException 403 where `access` has no scope of one of the `wanted`. Runs on the request thread."""
    for scopes in wanted:
        if not has_scopes(access, [scopes]):
            # RFC 6750, section 3.1: the challenge names the scopes that would do.
            challenge = f'Bearer error="insufficient_scope", scope="{" ".join(scopes)}"'
            raise HTTPException(403, "Forbidden", {"WWW-Authenticate": challenge})


def has_permission(user: Any, permission: str, row: Any = None) -> bool:
    """Whether `user` has Django's `permission`, for all rows or for `row`.

    Runs on the request thread. Raises: ConfigurationError, when `user` is no user of Django's.
    """
    if not hasattr(user, "has_perm"):
        raise ConfigurationError(
            f'security= returned a {type(user).__qualname__}, which has no has_perm(), and permissions="django" asks '
            "for it. Return a user of Django's, as security=CurrentUser does, or use scopes=."
        )
    # Django's ModelBackend says no to every question about an object, so the general question is asked first; backends
    # for objects answer the second one.
    return bool(user.has_perm(permission) or (row is not None and user.has_perm(permission, row)))


def permission_of(model: type[Model], action: Action) -> str:
    """Returns Django's permission for `action` on rows of `model`."""
    # The four permissions that Django makes for each model; "view" exists since Django 2.1.
    verb = {"create": "add", "update": "change", "replace": "change", "delete": "delete"}.get(action, "view")
    return f"{model._meta.app_label}.{verb}_{model._meta.model_name}"


def check_permission(user: Any, permission: str) -> None:
    """Raises HTTPException 403 where `user` has not Django's `permission`. Runs on the request thread."""
    if not has_permission(user, permission):
        raise HTTPException(403, "Forbidden")


CheckOf = Callable[[Callable[..., Any]], Callable[..., Any] | None]


def caller_of(security: Any, check_of: CheckOf = lambda _: None) -> Callable[..., Any]:
    """Returns a dependency: what `security` returns; HTTPException 401 where that is nobody, or false in any way.

    Args:
        security: A scheme of FastAPI's, a dependency, ``Depends()`` of one, or an annotated one such as `CurrentUser`.
        check_of: Returns what is asked besides for a dependency, itself one; None where nothing is.

    Raises:
        ConfigurationError: It is none of these.
    """
    return _Caller(_dependency(security), check_of)


class _Caller:
    """A dependency: what `security` returns, which is somebody."""

    def __init__(self, security: DependsMarker, check_of: CheckOf) -> None:
        self._security = security
        self._check_of = check_of

    # Asked when a route is made of it: by then all that it names is there.
    @cached_property
    def __signature__(self) -> inspect.Signature:
        keyword = inspect.Parameter.KEYWORD_ONLY
        found = [inspect.Parameter("access", keyword, annotation=Annotated[Any, self._security])]
        called = self._security.dependency
        if called is not None and (check := self._check_of(called)) is not None:
            found.insert(0, inspect.Parameter("checked", keyword, annotation=Annotated[None, Depends(check)]))
        return inspect.Signature(found)

    def __call__(self, access: Any, checked: None = None) -> Any:
        # A dependency that returns `token in TOKENS` has said no by False, and one that returns an empty row or text
        # has found nobody. AnonymousUser is nobody too. Of that attribute only False itself counts: an object of a
        # project's own may have a method of that name.
        if not access or getattr(access, "is_authenticated", True) is False:
            raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})
        return access


def _dependency(security: Any) -> DependsMarker:
    if get_origin(security) is Annotated:
        markers = [item for item in get_args(security)[1:] if isinstance(item, DependsMarker)]
        if markers:
            return markers[-1]
    # FastAPI exports `Depends` as a function and keeps the class in fastapi.params.
    if isinstance(security, DependsMarker):
        return security
    if callable(security):
        return Depends(security)  # type: ignore[no-any-return]
    raise ConfigurationError(
        f"security= got {security!r}. Give a scheme of FastAPI's or a dependency, as in security=JWT(...) or "
        "security=CurrentUser."
    )
