"""RFC 9110 on values alone: codings, conditions, ranges. The same over sockets: test_file_responses.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djfast_mount.staticfiles.negotiation import (
    asked_of,
    byte_range,
    failed_condition,
    preferred_coding,
    range_still_holds,
)

pytestmark = pytest.mark.once

ETAG = b'"5f-2800"'
DATE = b"Fri, 20 Nov 2026 10:00:00 GMT"
SECONDS = 1795168800
EARLIER, LATER = b"Fri, 20 Nov 2026 09:59:59 GMT", b"Fri, 20 Nov 2026 10:00:01 GMT"
BR_GZIP_IDENTITY = ("br", "gzip", "identity")


@pytest.mark.parametrize(
    ("accept_encoding", "chosen"),
    [
        ("", "identity"),
        ("identity", "identity"),
        ("*", "identity"),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.000", "identity"),
        ("gzip;q=0, br;q=0", "identity"),
        ("gzip ; q=0 , br", "br"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=0, *", "identity"),
        ("identity;q=0.1, *", "br"),
        ("identity;q=0, *", "br"),
        ("identity;q=0, br;q=0, *", "gzip"),
        ("identity;q=0, gzip", "gzip"),
        ("identity, gzip;q=0.5", "identity"),
        ("gzip;q=0.5, *;q=1", "identity"),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=2", "identity"),
        ("gzip;q=", "identity"),
        ("gzip;level=9", "identity"),
        ("gzipped", "identity"),
        ("deflate", "identity"),
        (",,gzip,,", "gzip"),
        ("identity;q=0", None),
        ("*;q=0", None),
        ("identity;q=0, deflate", None),
    ],
)
def test_coding(accept_encoding: str, chosen: str | None) -> None:
    """The coding sent is the one that the client weighs highest and accepts."""
    place = preferred_coding(accept_encoding.encode(), BR_GZIP_IDENTITY)
    assert (None if place is None else BR_GZIP_IDENTITY[place]) == chosen


def test_coding_of_a_long_header_is_not_remembered() -> None:
    """Headers longer than any browser's are answered like short ones."""
    assert preferred_coding(b"gzip, " + b"a" * 60_000, BR_GZIP_IDENTITY) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({b"if-none-match": ETAG}, 304),
        ({b"if-none-match": b"W/" + ETAG}, 304),
        ({b"if-none-match": b'"a", W/"b,c" , ' + ETAG}, 304),
        ({b"if-none-match": b"*"}, 304),
        ({b"if-none-match": b" * "}, 304),
        ({b"if-none-match": b'"5f-2800-gzip"'}, None),
        ({b"if-none-match": b"5f-2800"}, None),
        ({b"if-none-match": b""}, None),
        ({b"if-none-match": b'"other"', b"if-modified-since": LATER}, None),
        ({b"if-none-match": ETAG, b"if-modified-since": EARLIER}, 304),
        ({b"if-modified-since": DATE}, 304),
        ({b"if-modified-since": LATER}, 304),
        ({b"if-modified-since": EARLIER}, None),
        ({b"if-modified-since": b"Friday, 20-Nov-26 10:00:00 GMT"}, 304),
        ({b"if-modified-since": b"Fri Nov 20 10:00:00 2026"}, 304),
        ({b"if-modified-since": b"Fri, 16 Jul 2027 09:09:1626426577S GMT"}, None),
        ({b"if-modified-since": b"yesterday"}, None),
        ({b"if-modified-since": b"\xff"}, None),
        ({b"if-match": ETAG}, None),
        ({b"if-match": b"*"}, None),
        ({b"if-match": b'"a", ' + ETAG}, None),
        ({b"if-match": b"W/" + ETAG}, 412),
        ({b"if-match": b'"other"'}, 412),
        ({b"if-match": ETAG, b"if-unmodified-since": EARLIER}, None),
        ({b"if-match": ETAG, b"if-none-match": ETAG}, 304),
        ({b"if-unmodified-since": DATE}, None),
        ({b"if-unmodified-since": EARLIER}, 412),
        ({b"if-unmodified-since": b"never"}, None),
    ],
)
def test_conditions(headers: dict[bytes, bytes], status: int | None) -> None:
    """Conditions are evaluated in the order of RFC 9110, section 13.2.2, entity tags before dates."""
    assert failed_condition(headers, ETAG, DATE, SECONDS) == status


@pytest.mark.parametrize("header", [b"if-none-match", b"if-match", b"if-modified-since", b"if-unmodified-since"])
def test_conditions_on_a_file_without_validators(header: bytes) -> None:
    """Where a file has no date and no entity tag, nothing matches it but a star."""
    value = DATE if header.endswith(b"since") else ETAG
    assert failed_condition({header: value}, None, None, None) == (412 if header == b"if-match" else None)


def test_weak_entity_tag() -> None:
    """A weak entity tag of the file's own matches weakly, never strongly."""
    weak = b'W/"1"'
    assert failed_condition({b"if-none-match": b'"1"'}, weak, None, None) == 304
    assert failed_condition({b"if-match": weak}, weak, None, None) == 412
    assert not range_still_holds(weak, weak, None)


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (ETAG, True),
        (b"W/" + ETAG, False),
        (b'"x"', False),
        (DATE, True),
        (LATER, False),
        (EARLIER, False),
        (b"", False),
    ],
)
def test_if_range(if_range: bytes, holds: bool) -> None:
    """If-Range holds for the very entity tag and the very date, and for nothing else."""
    assert range_still_holds(if_range, ETAG, DATE) is holds


@pytest.mark.parametrize(
    ("value", "size", "part"),
    [
        ("bytes=0-0", 10, range(1)),
        ("bytes=9-9", 10, range(9, 10)),
        ("bytes=9-", 10, range(9, 10)),
        ("bytes=-1", 10, range(9, 10)),
        ("bytes=-10", 10, range(10)),
        ("bytes=-99", 10, range(10)),
        ("bytes=2-99", 10, range(2, 10)),
        ("BYTES=0-0", 10, range(1)),
        ("bytes=,0-0,", 10, range(1)),
        ("bytes=00000000000000000000000000001-2", 10, range(1, 3)),
        ("bytes=0-" + "9" * 5000, 10, range(10)),
        ("bytes=-" + "9" * 5000, 10, range(10)),
        ("bytes=10-", 10, range(0)),
        ("bytes=10-20", 10, range(0)),
        ("bytes=-0", 10, range(0)),
        ("bytes=" + "9" * 5000 + "-", 10, range(0)),
        ("bytes=0-", 0, range(0)),
        ("bytes=-1", 0, None),
        ("bytes=-0", 0, range(0)),
        ("bytes=2-1", 10, None),
        ("bytes=--1", 10, None),
        ("bytes=-", 10, None),
        ("bytes=", 10, None),
        ("bytes", 10, None),
        ("bytes=1", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=0x0-0x1", 10, None),
        ("bytes=+0-1", 10, None),
        ("bytes=0-1_0", 10, None),
        ("bytes=\u0660-\u0661", 10, None),
        ("items=0-1", 10, None),
        ("bytes 0-1", 10, None),
    ],
)
def test_range(value: str, size: int, part: range | None) -> None:
    """A Range header asks for one part, or is ignored; an empty part cannot be satisfied."""
    found = byte_range(value.encode(), size)
    assert (None if found is None else list(found)) == (None if part is None else list(part))


@given(st.binary(max_size=60))
def test_no_header_value_raises(value: bytes) -> None:
    """No bytes in any of the headers raise an exception."""
    preferred_coding(value, BR_GZIP_IDENTITY)
    byte_range(value, 10)
    byte_range(b"bytes=" + value, 10)
    range_still_holds(value, ETAG, DATE)
    for header in (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"):
        failed_condition({header: value}, ETAG, DATE, SECONDS)


def test_repeated_headers_are_one_list() -> None:
    """Several headers of one name count as one list, and others are not looked at."""
    headers = [(b"if-none-match", b'"a"'), (b"host", b"x"), (b"if-none-match", b'"b"')]
    assert asked_of(headers) == {b"if-none-match": b'"a", "b"'}
