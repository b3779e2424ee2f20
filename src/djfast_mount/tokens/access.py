"""What a token allows, and the short-lived tokens that are made of it.

1. A transaction token never allows more than the token that it was made of, and ends with it, or when that gets another
   text. With fewer scopes than the token has, it does not act as the owner, whatever the token may.
2. It is signed, and stands in no table.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.utils.crypto import constant_time_compare

from djfast_mount.tokens.models import APIToken
from djfast_mount.tokens.texts import TOKEN, TRANSACTION

__all__ = ["LIFETIME", "TokenAccess", "access_of", "transaction_text"]

LIFETIME = 300
"""The seconds that a transaction token is valid."""

_SALT = "djfast_mount.tokens.transaction"
_TOLD = 16


@dataclass(frozen=True)
class TokenAccess:
    """Who calls with a token, and what it allows.

    Args:
        user: The owner.
        critical: Whether critical fields may be written: with a transaction token that was made for it.
        transaction: Whether it is a transaction token.
    """

    token: APIToken
    user: Any
    scopes: frozenset[str]
    critical: bool = False
    transaction: bool = False

    @property
    def as_owner(self) -> bool:
        """Whether it logs its owner in: the token may, and nothing was taken from it on the way here."""
        return self.token.as_owner and self.scopes >= frozenset(self.token.scopes.split())

    def has_scope(self, scope: str) -> bool:
        """Whether `scope` is among the token's."""
        return scope in self.scopes


def access_of(text: str) -> TokenAccess | None:
    """Returns what a text allows; None where it is of no token, or of one that is not valid. Asks the database.

    Runs on the thread of the ORM.
    """
    if text.startswith(TRANSACTION):
        return _of_transaction(text)
    token = APIToken.objects.of_text(text) if text.startswith(TOKEN) else None
    if token is None:
        return None
    # Of API tokens alone: a transaction token is made by one, whose use was written down then.
    token.note_use()
    return TokenAccess(token, token.owner, frozenset(token.scopes.split()))


def transaction_text(
    access: TokenAccess, scopes: Iterable[str] | None = None, *, critical: bool = False, lifetime: int = LIFETIME
) -> str:
    """Returns the text of a transaction token.

    Args:
        access: What the token allows that it is made of; no transaction token itself.
        scopes: Those that it is to have; None for all.
        critical: Whether it is to allow critical writes.
        lifetime: Seconds.

    Raises:
        ValueError: It would allow more than `access` does.
        TypeError: `scopes` is a text.
    """
    if isinstance(scopes, str):
        raise TypeError(f'transaction_text() got scopes={scopes!r}. Write a list, as in ["companies.read"].')
    wanted = access.scopes if scopes is None else frozenset(scopes)
    if access.transaction:
        raise ValueError("A transaction token is made of an API token, not of another one.")
    if missing := wanted - access.scopes:
        raise ValueError(f"The token has no scope {' '.join(sorted(missing))!r} to hand on.")
    if critical and not access.token.critical:
        raise ValueError("The token does not allow critical writes.")
    # The key, not the text: a transaction token that leaks must not give the API token away. Of the hash as much as
    # tells one text from the next.
    token = access.token
    content = [token.pk, token.digest[:_TOLD], sorted(wanted), critical, int(time.time()) + lifetime]
    return TRANSACTION + signing.dumps(content, salt=_SALT)


def _of_transaction(text: str) -> TokenAccess | None:
    try:
        key, digest, scopes, critical, expires = signing.loads(text.removeprefix(TRANSACTION), salt=_SALT)
    # A text of another shape, signed with the same key by an older version, is no token either.
    except (signing.BadSignature, ValueError, TypeError):
        return None
    # Asked of the table with each call: a revoked token takes all that was made of it along.
    token = APIToken.objects.of_key(key) if time.time() < expires else None
    if token is None or not constant_time_compare(token.digest[:_TOLD], digest):
        return None
    # Scopes that were taken from the API token since then are not granted by what was made of it.
    allowed = frozenset(scopes) & frozenset(token.scopes.split())
    return TokenAccess(token, token.owner, allowed, critical=bool(critical) and token.critical, transaction=True)
