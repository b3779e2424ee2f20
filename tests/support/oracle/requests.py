"""Requests that are made of choices: right, wrong, missing, repeated, broken off."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from oracle.apis import Log, Pick
from oracle.calls import body_of, scope_of

_UUID = b"00000000-0000-0000-0000-000000000001"
_VALUES = [
    *(b"7", b"7", b"1", b"a", b"", b"red", b"2024-01-02", b"x y", b"\xe9", b"[1,2]", b"true", _UUID),
]
_ESCAPED = [b"%20", b"a+b", b"%c3%a9", b"%ff", b"a%3Db", b"7"]
_NAMES = [
    *("p0", "p1", "p10", "q_name0", "q_name1", "x_y0", "x_y1", "p50", "q_name50", "x_y50", "al0", "one0", "two-0"),
    *("al1", "al10", "one10", "one50", "al50", "limit", "tags", "orderBy", "order_by", "extra"),
]
_JSON = [
    *(b'{"a": 1}', b'{"a": 1, "b": "z", "tags": ["t"]}', b'{"a": "7"}', b'{"a": []}', b"[]", b"7", b'"text"', b"null"),
    *(b'[{"a":1},{"a":2}]', b'{"p0": {"a": 1}, "p1": 2, "q_name0": [1], "al0": {"a": 2}, "one0": 3, "x_y0": "s"}'),
    *(b'{"p50": {"a": 1}, "q_name50": 7, "x_y50": 1}', b'{"a": 1', b"", b" ", b'\xef\xbb\xbf{"a":1}', b'{"a": NaN}'),
    *(b'{"a": 1e400}', b'{"a": 1, "a": 2}', b'"\\ud800"', b'{"pair": [1, "x"], "a": 1}', b"[" * 250 + b"]" * 250),
    *(b"\xff", b'{"a": 12345678901234567890123}'),
]
_FIELDS = [{"a": 1}, {"a": "7", "b": "x"}, 7, "7", [1], None, True, [{"a": 1}], {"x": 1}, "text"]
_TYPES = [
    *(b"application/json", b"application/json", b"application/json", b"application/json; charset=utf-8"),
    *(b"application/x+json", b"text/plain", b"", None),
]


class Made(NamedTuple):
    """A request: its scope, the messages of its body, at which message `send` fails, and where it is cancelled."""

    scope: dict[str, Any]
    messages: list[Any]
    fails_at: int | None
    cancelled_at: tuple[str, int] | None


def make_request(pick: Pick, log: Log) -> Made:
    """A request for the API that `log` is of."""
    names = [*log.names, *log.names, *_NAMES[:4]] if pick([True, True, True, False]) else _NAMES
    tail = pick(["", "/7", "/7", "/7", "/red", "/1.5", "/a/b", "/", "/00000000-0000-0000-0000-000000000001", "\n"])
    path = pick([log.prefix] * 8 + ["/i/v1"]) + "/r" + tail
    values = [*_VALUES, *_VALUES, *_ESCAPED]

    def pairs(most: list[int]) -> list[tuple[bytes, bytes]]:
        return [(pick(names).encode(), pick(values)) for _ in range(pick(most))]

    query = b"&".join(name + pick([b"=", b"=", b"=", b"=", b""]) + value for name, value in pairs([0, 1, 2, 4]))
    spelled = pick([True, True, False])
    headers = [(name.lower().replace(b"_", b"-" if spelled else b"_"), value) for name, value in pairs([0, 1, 3, 5])]
    if pick([False, True]):
        headers.append((b"cookie", b"; ".join(name + b"=" + value for name, value in pairs([1, 2, 3]))))
    content_type = pick(_TYPES)
    if content_type is not None:
        headers.append((b"content-type", content_type))
    if pick([False, False, True]):
        headers.append((b"authorization", pick([b"Bearer t", b"Basic x", b""])))
    scope = scope_of(pick(["POST"] * 6 + ["GET", "PUT", "HEAD"]), path, query, headers)
    cancelled_at = pick(
        [None] * 12 + [("receive", 0), ("receive", 1), ("send", 0), ("send", 1), ("call", 1), ("call", 2)]
    )
    return Made(scope, _body(pick, names), pick([None] * 15 + [0, 1]), cancelled_at)


def _body(pick: Pick, names: list[str]) -> list[Any]:
    raw = pick(_JSON)
    if pick([False, True]):
        fields = {pick(names): pick(_FIELDS) for _ in range(pick([1, 2, 3]))}
        raw = json.dumps(fields).encode()
    kind = pick(["whole"] * 6 + ["parts", "parts", "disconnect", "late disconnect", "error"])
    if kind == "parts":
        return body_of(raw[:2], raw[2:5], raw[5:])
    if kind == "disconnect":
        return [{"type": "http.disconnect"}]
    if kind == "late disconnect":
        return [{"type": "http.request", "body": raw[:2], "more_body": True}, {"type": "http.disconnect"}]
    if kind == "error":
        return [{"type": "http.request", "body": raw[:2], "more_body": True}, OSError("broken")]
    return body_of(raw)
