"""Entity tags of single rows, and the preconditions of RFC 9110, section 13.

The tag is the SHA-256 of the row's JSON as this caller gets it, related rows that the schema shows included. It changes
whenever the answer would: not with a column that the schema leaves out. Two callers who see different parts of a row
have different tags.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from fastapi import HTTPException

__all__ = ["IfMatch", "check_if_match", "etag_of", "is_unchanged"]

IfMatch = Literal["off", "optional", "required"]


def etag_of(body: bytes) -> str:
    """Returns the strong entity tag of a body."""
    # 128 bits: enough that nobody finds a collision, and short enough for a header that comes with every row.
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether a GET is answered by 304: its ``If-None-Match`` names `etag`, by the weak comparison."""
    return if_none_match is not None and ("*" in _tags(if_none_match) or etag in map(_strong, _tags(if_none_match)))


def check_if_match(if_match: str | None, etag: str) -> None:
    """Lets a change pass whose ``If-Match`` names the row as it is. Raises: HTTPException 412."""
    # The strong comparison (RFC 9110, section 13.1.1): a weak tag never matches here.
    if if_match is not None and not {"*", etag} & set(_tags(if_match)):
        raise HTTPException(412, "The row has been changed since. Read it again.", {"ETag": etag})


def _strong(tag: str) -> str:
    return tag.removeprefix("W/")


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",")]
