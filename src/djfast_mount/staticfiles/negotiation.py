"""What a request's headers ask of a file: RFC 9110, sections 12.5.3 (codings), 13 (conditions) and 14 (ranges).

Raw header values in, decisions out. Nothing here sends, reads or remembers anything but parsed header values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

from django.utils.http import parse_http_date_safe

__all__ = ["asked_of", "byte_range", "failed_condition", "preferred_coding", "range_still_holds"]

_ASKED = frozenset(
    {
        b"accept-encoding",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    }
)
_ETAG = re.compile(rb'(?:W/)?"[^"]*"')
_RANGE = re.compile(rb"bytes=[ \t,]*([0-9]*)-([0-9]*)[ \t,]*", re.IGNORECASE)
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
# Longer than any browser's: only short ones are remembered, so that a stranger cannot fill the memory with them.
_LONGEST_REMEMBERED = 200
# No file is larger, and int() refuses some thousand digits with a ValueError of its own.
_MOST_DIGITS = 18


def asked_of(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The raw ASGI headers that change the answer. Several of one name are joined as a list (RFC 9110, 5.3)."""
    last = dict(headers)
    if len(last) == len(headers):
        if _ASKED.isdisjoint(last):
            return {}
        return {name: last[name] for name in _ASKED & last.keys()}
    asked: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ASKED:
            asked[name] = asked[name] + b", " + value if name in asked else value
    return asked


def preferred_coding(accept_encoding: bytes, codings: tuple[str, ...]) -> int | None:
    """The place in `codings` of the one to send, or None if the client refuses all of them.

    Among the codings with the highest weight the earlier one wins, save that those which the client names go before
    ``identity``, and ``identity`` before those which it accepts by ``*`` alone: it may not know them.
    """
    if len(accept_encoding) <= _LONGEST_REMEMBERED:
        return _remembered_coding(accept_encoding, codings)
    return _preferred_coding(accept_encoding, codings)


def _preferred_coding(accept_encoding: bytes, codings: tuple[str, ...]) -> int | None:
    weights = _weights(accept_encoding.decode("latin-1"))
    others = weights.get("*")
    best, best_rank = None, (0.0, 0)
    for place, coding in enumerate(codings):
        named = weights.get(coding)
        if named is not None:
            rank = (named, 2)
        elif coding == "identity":
            # Acceptable unless it is excluded, and worth less than anything that the client named.
            rank = (0.0001 if others is None else others, 1)
        else:
            rank = (others or 0.0, 0)
        if rank[0] > 0 and rank > best_rank:
            best, best_rank = place, rank
    return best


_remembered_coding = functools.lru_cache(maxsize=256)(_preferred_coding)


def _weights(accept_encoding: str) -> dict[str, float]:
    weights = {}
    for element in accept_encoding.split(","):
        coding, separator, parameter = element.partition(";")
        weight = _WEIGHT.fullmatch(parameter.strip()) if separator else None
        # A parameter that is no weight makes an element that nobody can read: it is passed over, as RFC 9110 has no 400
        # for it.
        if separator and weight is None:
            continue
        # RFC 9110, section 8.4.1.3: "x-gzip" is "gzip" to a recipient.
        coding = coding.strip().lower().removeprefix("x-")
        weights[coding] = float(weight[1]) if weight else 1.0
    return weights


def failed_condition(
    asked: Mapping[bytes, bytes], etag: bytes | None, last_modified: bytes | None, modified: int | None
) -> int | None:
    """304 or 412 if a condition of the request fails, else None. In the order of RFC 9110, section 13.2.2.

    Args:
        asked: What `asked_of` returned.
        etag: The entity tag of the representation that would be sent.
        last_modified: Its Last-Modified, as it is sent.
        modified: The same in seconds since the epoch.
    """
    if (wanted := asked.get(b"if-match")) is not None:
        if not _matches(wanted, etag, weak=False):
            return 412
    elif (date := _date(asked.get(b"if-unmodified-since"))) is not None and modified is not None and modified > date:
        return 412
    if (known := asked.get(b"if-none-match")) is not None:
        # If-None-Match goes before If-Modified-Since, which is not looked at then (RFC 9110, section 13.1.3).
        return 304 if known == etag or _matches(known, etag, weak=True) else None
    since = asked.get(b"if-modified-since")
    if since is None or modified is None:
        return None
    if since == last_modified or ((date := _date(since)) is not None and modified <= date):
        return 304
    return None


def _matches(tags: bytes, etag: bytes | None, *, weak: bool) -> bool:
    if tags.strip() == b"*":
        return True
    if etag is None:
        return False
    if weak:
        return etag.removeprefix(b"W/") in (tag.removeprefix(b"W/") for tag in _ETAG.findall(tags))
    return not etag.startswith(b"W/") and etag in _ETAG.findall(tags)


def _date(value: bytes | None) -> int | None:
    return None if value is None else parse_http_date_safe(value.decode("latin-1"))


def range_still_holds(if_range: bytes, etag: bytes | None, last_modified: bytes | None) -> bool:
    """Whether If-Range names the representation that would be sent: compared strongly (RFC 9110, 13.1.5)."""
    value = if_range.strip()
    return value == last_modified or (value == etag and not value.startswith(b"W/"))


def byte_range(value: bytes, size: int) -> range | None:
    """The bytes that a Range header asks for, of a representation of `size` bytes.

    None: to be ignored, because it is malformed, of another unit, or asks for several ranges. An empty range: it cannot
    be satisfied, so 416.
    """
    match = _RANGE.fullmatch(value.strip())
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start, end = _position(first), _position(last) if last else size - 1
        return None if last and end < start else range(start, min(end + 1, size))
    if not last:
        return None
    length = _position(last)
    if size == 0 and length:
        return None  # Satisfiable, yet no Content-Range can say "no bytes".
    return range(max(size - length, 0), size)


def _position(digits: bytes) -> int:
    digits = digits.lstrip(b"0")[: _MOST_DIGITS + 1] or b"0"
    return int(digits)
