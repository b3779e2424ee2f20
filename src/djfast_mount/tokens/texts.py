"""The texts of tokens: how they are made, told apart, and stored.

1. The text of a token is random, and shown once. The database has a SHA-256 of it alone: 32 random bytes need no salt
   and no slow hash, as passwords do.
2. A prefix says what a text is: tools that look for leaked secrets find it, and no other scheme takes it for its own.
"""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["TOKEN", "TRANSACTION", "digest_of", "new_text", "shown_part"]

TOKEN = "dmt_"
"""How the text of a token begins."""

TRANSACTION = "dmx_"
"""How the text of a transaction token begins."""


def new_text() -> str:
    """Returns the text of a new token."""
    return TOKEN + secrets.token_urlsafe(32)


def digest_of(text: str) -> str:
    """Returns what is stored of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def shown_part(text: str) -> str:
    """Returns the part of a token by which people recognize it."""
    return text[: len(TOKEN) + 6]
