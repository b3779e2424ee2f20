"""Columns that nobody means to show by ``"__all__"``."""

from __future__ import annotations

__all__ = ["is_called_like_a_secret"]

_SECRETS = ("password", "passwd", "token", "api_key", "apikey", "secret", "private_key")


def is_called_like_a_secret(name: str) -> bool:
    """Whether a column of that name is shown only where somebody names it."""
    return any(word in name.lower() for word in _SECRETS)
