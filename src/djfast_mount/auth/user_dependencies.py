"""Who calls: Django's users in FastAPI's endpoints.

    from djfast_mount.auth import CurrentUser, require_perm

    @api.get("/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    @api.delete("/items/{id}", dependencies=[require_perm("shop.delete_item")])
    def delete(id: int) -> None: ...

The session cookie of the Django site logs in here too, unless ``settings.DJFAST_MOUNT["authentication"]`` lists other
schemes: see docs/auth.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from django.conf import settings
from fastapi import Depends, HTTPException

from djfast_mount.auth.permission_names import check_permission, check_spelling, note_asker, note_audience
from djfast_mount.auth.schemes import Scheme, api_key, authenticated, bearer, challenges, session
from djfast_mount.django_for_api.request_layer import get_request
from djfast_mount.exceptions import ConfigurationError

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser as User
else:
    # FastAPI evaluates annotations, and models cannot be imported before the app registry is ready.
    User = Any

__all__ = [
    "CurrentUser",
    "OptionalUser",
    "Scheme",
    "StaffUser",
    "SuperUser",
    "api_key",
    "bearer",
    "current_user",
    "get_request",
    "optional_user",
    "require_perm",
    "session",
    "staff_user",
    "superuser",
]


async def optional_user(user: Annotated[Any, Depends(authenticated)]) -> User | None:
    """Dependency: the user who calls, or None. Raises HTTPException 401 for a credential that is wrong."""
    return user  # type: ignore[no-any-return]


OptionalUser = Annotated[User | None, Depends(optional_user)]
"""The user who calls, or None."""


async def current_user(user: OptionalUser) -> User:
    """Dependency: the user who calls. Raises HTTPException 401 when there is none.

    In tests, ``api.dependency_overrides[current_user]`` sets the user of all the dependencies of this module but
    `optional_user`.
    """
    if user is None:
        raise HTTPException(401, "Not authenticated", challenges())
    return user


CurrentUser = Annotated[User, Depends(current_user)]
"""The user who calls; 401 when there is none."""


def staff_user(user: CurrentUser) -> User:
    """Dependency: the user who calls, of the staff. Raises HTTPException 401, or 403. Runs on the request thread."""
    return _let_pass(user, user.is_staff, "staff")


def superuser(user: CurrentUser) -> User:
    """Dependency: the user who calls, a superuser. Raises HTTPException 401, or 403. Runs on the request thread."""
    return _let_pass(user, user.is_superuser, "superusers")


StaffUser = Annotated[User, Depends(staff_user)]
"""The user who calls; 401 when there is none, 403 when it is not of the staff."""
SuperUser = Annotated[User, Depends(superuser)]
"""The user who calls; 401 when there is none, 403 when it is no superuser."""


for dependency, audience in (
    (optional_user, "optional user"),
    (current_user, "user"),
    (staff_user, "staff"),
    (superuser, "superuser"),
):
    note_audience(dependency, audience)


def require_perm(*names: str, obj: Callable[..., Any] | None = None) -> Any:
    """Returns a dependency: the user who calls, who has every permission of `names`; else 401, or 403.

    Asked of Django's backends on the request thread. Put it among the ``dependencies`` of a route or a router, or into
    ``Annotated[User, require_perm(...)]``.

    Args:
        names: As Django writes them, ``"app.codename"``.
        obj: A dependency, say a function that gets an item by the path's id. Its result is handed to
            ``user.has_perm(name, obj)``; an endpoint that depends on it too gets the same.

    Raises:
        ConfigurationError: A name cannot be a permission's; at the first call, when there is no such permission.
    """
    if not names:
        raise ConfigurationError('require_perm() got no permission. Name one, as in require_perm("shop.change_item").')
    for name in names:
        check_spelling(name)
    if obj is not None and not callable(obj):
        raise ConfigurationError(f"require_perm() got obj={obj!r}. Give the dependency that returns the object.")

    # Two functions: FastAPI would make a query parameter of `obj` where it has no dependency.
    def permitted(user: CurrentUser) -> User:
        return _permitted(user, names, None)

    thing = Depends(obj)

    def permitted_on(user: CurrentUser, obj: Any = thing) -> User:
        return _permitted(user, names, obj)

    dependency = permitted if obj is None else permitted_on
    note_asker(dependency, names)
    return Depends(dependency)


def _permitted(user: User, names: tuple[str, ...], obj: Any) -> User:
    for name in names:
        check_permission(name)
    return _let_pass(user, user.has_perms(names, obj), ", ".join(names))


def _let_pass(user: User, passes: bool, what: str) -> User:
    if not passes:
        raise HTTPException(403, f"Forbidden: this is for {what}." if settings.DEBUG else "Forbidden")
    return user
