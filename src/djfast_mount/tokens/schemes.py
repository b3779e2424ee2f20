"""Tokens as a scheme: for ``security=`` of a `ModelRouter`, for ``Depends()``, and for `CurrentUser`."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from djfast_mount.auth.schemes import check_sender
from djfast_mount.auth.user_dependencies import Scheme
from djfast_mount.tokens.access import TokenAccess, access_of
from djfast_mount.tokens.texts import TOKEN, TRANSACTION

__all__ = ["APITokenScheme", "api_token"]


class APITokenScheme(Scheme):
    """The header ``Authorization: Bearer`` with an API token, or with a transaction token.

    As a dependency it returns a `TokenAccess`, or answers 401. In ``settings.DJFAST_MOUNT["authentication"]`` it logs
    the owner in, for tokens that may act as their owner; any other token is 403 there: its scopes would mean nothing.

    Args:
        transactions_only: Whether API tokens themselves are refused.
    """

    def __init__(self, name: str = "API token", *, transactions_only: bool = False) -> None:
        super().__init__(name, "Bearer")
        self._prefixes = (TRANSACTION,) if transactions_only else (TRANSACTION, TOKEN)

    @property
    def model(self) -> SecurityModel:  # type: ignore[override]
        return HTTPBearer(bearerFormat="opaque").model

    def credential(self, connection: HTTPConnection) -> str | None:
        scheme, text = get_authorization_scheme_param(connection.headers.get("authorization"))
        # Other bearer tokens are for other schemes.
        # The prefix is what lets secret scanners find a token in a repository, too.
        return text if scheme.lower() == "bearer" and text.startswith(self._prefixes) else None

    async def access(self, credential: str) -> TokenAccess | None:
        """Returns what `credential` allows; None where it is not valid."""
        return await run_in_threadpool(access_of, credential)

    async def user(self, connection: HTTPConnection, credential: str) -> Any:
        access = await self.access(credential)
        if access is None:
            raise HTTPException(401, "Invalid token", {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        if not access.as_owner:
            raise HTTPException(403, "Forbidden")
        return access.user

    async def __call__(self, connection: HTTPConnection) -> TokenAccess:
        credential = self.credential(connection)
        await check_sender(connection, self.vary)
        access = None if credential is None else await self.access(credential)
        if access is None:
            challenge = "Bearer" if credential is None else 'Bearer error="invalid_token"'
            raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": challenge})
        return access


api_token = APITokenScheme()
"""The scheme: ``security=api_token``, or ``"djfast_mount.tokens.schemes.api_token"`` among the settings' schemes."""
