"""Entity tags of single rows, and the preconditions of RFC 9110, section 13.

The tag is the SHA-256 of the row's JSON as this caller gets it, related rows that the schema shows included. It changes
whenever the answer would: not with a column that the schema leaves out. Two callers who see different parts of a row
have different tags. The query string of a file's URL is left out: storages that sign their URLs make another each time.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, Literal

from fastapi import HTTPException
from starlette.datastructures import Headers

from djfast_mount.schemas.declaring.declaration import Shape

__all__ = ["IfMatch", "check_if_match", "check_if_none_match", "etag_of", "is_signed", "is_unchanged", "listed"]

IfMatch = Literal["off", "optional", "required"]


def etag_of(body: bytes, shape: Shape) -> str:
    """Returns the strong entity tag of a body, the JSON of one row of `shape`."""
    if is_signed(body, shape):
        body = json.dumps(_unsigned(shape, json.loads(body))).encode()
    # 128 bits: enough that nobody finds a collision, and short enough for a header that comes with every row.
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def is_signed(body: bytes, shape: Shape) -> bool:
    """Whether a URL of a file in `body` has a query string. It may expire, so a client needs it anew with each GET."""
    if not _has_files(shape):
        return False
    found = json.loads(body)
    return bool(_unsigned(shape, found) != found)


@cache
def _has_files(shape: Shape) -> bool:
    return any(member.kind == "file" or (member.shape and _has_files(member.shape)) for member in shape.members)


def _unsigned(shape: Shape, value: Any) -> Any:
    """Returns `value`, rows of `shape` as JSON has them, without the query strings of the URLs of files."""
    if isinstance(value, list):
        return [_unsigned(shape, item) for item in value]
    if not isinstance(value, dict):
        return value
    found = dict(value)
    for member in shape.members:
        info = shape.schema.model_fields[member.name]
        key = info.serialization_alias or info.alias or member.name
        if member.kind == "file" and isinstance(found.get(key), str):
            found[key] = found[key].partition("?")[0]
        elif member.shape is not None and key in found:
            found[key] = _unsigned(member.shape, found[key])
    return found


def listed(headers: Headers, name: str) -> str | None:
    """Returns what all fields called `name` list, as one (RFC 9110, section 5.3); None where there is none."""
    found = headers.getlist(name)
    return ", ".join(found) if found else None


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names `etag`, by the weak comparison: a GET is answered by 304 then."""
    return if_none_match is not None and ("*" in _tags(if_none_match) or etag in map(_strong, _tags(if_none_match)))


def check_if_match(if_match: str | None, etag: str) -> None:
    """Lets a change pass whose ``If-Match`` names the row as it is. Raises: HTTPException 412."""
    # The strong comparison (RFC 9110, section 13.1.1): a weak tag never matches here.
    if if_match is not None and not {"*", etag} & set(_tags(if_match)):
        raise HTTPException(412, "The row has been changed since. Read it again.", {"ETag": etag})


def check_if_none_match(if_none_match: str | None, etag: str) -> None:
    """Lets a change pass whose ``If-None-Match`` names the row not as it is. Raises: HTTPException 412."""
    # RFC 9110, section 13.1.2: `*` is from a client that wants no row to be there, and would lose it by PUT.
    if is_unchanged(if_none_match, etag):
        raise HTTPException(412, "The row is there, as If-None-Match names it.", {"ETag": etag})


def _strong(tag: str) -> str:
    return tag.removeprefix("W/")


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",")]
