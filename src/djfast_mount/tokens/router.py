"""The route by which a client exchanges its token for a transaction token: include it where you like."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, Field

from djfast_mount.tokens.access import LIFETIME, TokenAccess, transaction_text
from djfast_mount.tokens.schemes import api_token

__all__ = ["router"]

router = APIRouter(prefix="/tokens", tags=["tokens"])


class TransactionTokenRequest(BaseModel):
    """What the transaction token is to allow."""

    scopes: Annotated[list[str], Field(max_length=100)] | None = Field(None, description="Null for all of the token's.")
    critical: bool = Field(False, description="Whether it is to allow critical writes.")


class TransactionToken(BaseModel):
    """A transaction token."""

    token: str
    expires_in: int = Field(description="Seconds.")


@router.post(
    "/transaction",
    status_code=201,
    operation_id="create_transaction_token",
    responses={401: {"description": "There is no valid token."}, 403: {"description": "The token does not allow it."}},
)
def create_transaction_token(
    access: Annotated[TokenAccess, Depends(api_token)], body: TransactionTokenRequest, response: Response
) -> TransactionToken:
    """Returns a token that is valid for a few minutes, and allows what its API token does, or less."""
    try:
        text = transaction_text(access, body.scopes, critical=body.critical)
    except ValueError as error:
        # The texts are ours, and name scopes that the client has sent itself.
        raise HTTPException(403, str(error)) from error
    # RFC 6749, section 5.1, asks it of every answer that holds a token.
    response.headers["Cache-Control"] = "no-store"
    return TransactionToken(token=text, expires_in=LIFETIME)
