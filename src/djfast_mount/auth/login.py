"""Log in to Django's session, and out of it, over JSON."""

from __future__ import annotations

from typing import Annotated, Any

from django.contrib import auth
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, SecretStr

from djfast_mount.auth.schemes import session
from djfast_mount.django_for_api import csrf
from djfast_mount.django_for_api.request_layer import get_request

__all__ = ["router"]

router = APIRouter(tags=["auth"])
"""`POST login` and `POST logout`: include it under a prefix, as in ``api.include_router(router, prefix="/auth")``."""

DjangoRequest = Annotated[Any, Depends(get_request)]  # Any: the stubs know no `cookie_use`.


class Credentials(BaseModel):
    """What the backends of ``AUTHENTICATION_BACKENDS`` are asked with."""

    username: str
    # pydantic shows it as dots, in the errors of validation and in the `repr` that a log or a debugger writes.
    password: SecretStr


class LoggedIn(BaseModel):
    """Whom the session belongs to from now on."""

    username: str


_FORBIDDEN: dict[int | str, dict[str, Any]] = {403: {"description": "Refused by the CSRF check"}}


@router.post("/login", responses={401: {"description": "Wrong username or password"}, **_FORBIDDEN})
def login(credentials: Credentials, request: DjangoRequest) -> LoggedIn:
    """Begins a session: the answer sets its cookie, and a new CSRF token's."""
    # A page of another site must not log its visitor in as somebody else. A client has no token before its login, so
    # the Origin is the whole of the check.
    csrf.check_origin(request)
    # The check that is due for a cookie's session would ask for a CSRF token, which a client before its login has not.
    request.cookie_use.permitted = True
    password = credentials.password.get_secret_value()
    user = auth.authenticate(request, username=credentials.username, password=password)
    # One answer for an unknown name and a wrong password. Django hashes a password for an unknown name as well, so that
    # the time tells nothing.
    if user is None:
        raise HTTPException(401, "Wrong username or password.", {"WWW-Authenticate": session.challenge})
    key = request.session.session_key
    auth.login(request, user)
    if request.session.session_key == key:  # Django keeps the session of one who was logged in as the same user.
        request.session.cycle_key()
    return LoggedIn(username=user.get_username())


@router.post("/logout", status_code=204, responses=_FORBIDDEN)
def logout(request: DjangoRequest) -> None:
    """Ends the session, if there is one. Held to the CSRF check, as every unsafe call that the cookie authenticates."""
    auth.logout(request)
