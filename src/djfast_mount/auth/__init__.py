"""Who calls: Django's users in FastAPI's endpoints."""

from djfast_mount.auth.login import router
from djfast_mount.auth.user_dependencies import (
    CurrentUser,
    OptionalUser,
    Scheme,
    StaffUser,
    SuperUser,
    api_key,
    bearer,
    current_user,
    get_request,
    optional_user,
    require_perm,
    session,
    staff_user,
    superuser,
)

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
    "router",
    "session",
    "staff_user",
    "superuser",
]
