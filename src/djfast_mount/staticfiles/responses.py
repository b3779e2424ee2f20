"""The answers of static files, each an ASGI app: a file, from memory or from the disk, and a redirect.

A large file is read block by block, each when the server takes it (it waits in `send` while the client is slow): a slow
client holds one block and no thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import anyio
from starlette.types import Message, Receive, Scope, Send

from djfast_mount.staticfiles.contents import FileMemory, OpenFile, RawHeaders, Variant, in_thread
from djfast_mount.staticfiles.negotiation import (
    asked_of,
    byte_range,
    failed_condition,
    preferred_coding,
    range_still_holds,
)

__all__ = ["FileResponse", "Files", "RedirectResponse"]

BLOCK = 256 * 1024  # the most bytes that are read, or handed to the server, at once

_ALLOW = (b"allow", b"GET, HEAD")
_NO_BODY = (b"content-length", b"0")


class Files(NamedTuple):
    """What the answers of many files have in common."""

    variants: Callable[[str, Any, Sequence[int]], Iterable[Variant]]
    """Makes the representations of the file at a path, in the order of preference, of what was found there and when
    that was modified. One of them has the coding ``identity``.
    """
    memory: FileMemory
    """Where small bodies are kept."""
    always: Sequence[tuple[bytes, bytes]] = ()
    """Header fields of the answers that are no variant's, such as a 405. The variants' own hold them already."""


class FileResponse:
    """Answers with one file, in the variant, the part and the status that the request asks for.

    Raises StaleFile, before anything is sent, if the file on the disk is no longer the one described.

    Args:
        path: Where the file lies.
        found: What its representations are made of, with the first request: of most files of a large project there is
            none.
        times: When each of its alternatives was modified, in nanoseconds.
        files: What it has in common with others. A large project has a hundred thousand, so each attribute counts.
    """

    __slots__ = ("_codings", "_files", "_found", "_identity", "_times", "_variants", "path")
    _identity: Variant
    _variants: tuple[Variant, ...]

    def __init__(self, path: str, found: Any, times: Sequence[int], files: Files) -> None:
        self.path = path
        self._found = found
        self._times = times
        self._files = files

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope["method"]
        # RFC 9110, section 15.5.6: 405 has Allow. WhiteNoise answers so, too.
        if method != "GET" and method != "HEAD":
            return _send_empty(send, 405, [_ALLOW, *self._files.always, _NO_BODY])
        if self._found is not None:
            self._make_variants()
        asked = asked_of(scope["headers"])
        variant = self._chosen(asked.pop(b"accept-encoding", None)) if asked else self._identity
        # RFC 9110, section 15.5.7. A client that refuses even `identity` is rare, and is not sent what it has refused.
        if variant is None:
            return _send_empty(send, 406, [(b"vary", b"Accept-Encoding"), *self._files.always, _NO_BODY])
        if asked:
            status = failed_condition(asked, variant.etag, variant.last_modified, variant.modified)
            if status is not None:
                headers = variant.not_modified.copy() if status == 304 else [*self._files.always, _NO_BODY]
                return _send_empty(send, status, headers)
            part = _part(asked, variant) if method == "GET" else None
            if part is not None:
                return self._send_part(variant, part, receive, send)
        # Copied for each answer: middleware may add its own headers to the list that it is given.
        start = {"type": "http.response.start", "status": 200, "headers": variant.headers.copy()}
        body = variant.body
        if body is None:
            return self._send_unread(variant, start, scope, receive, send)
        variant.recent = True
        return _send_body(start, body if method == "GET" else b"", send)

    def _make_variants(self) -> None:
        self._variants = tuple(self._files.variants(self.path, self._found, self._times))
        self._codings = tuple(variant.coding for variant in self._variants)
        self._identity = self._variants[self._codings.index("identity")]
        self._found = None  # The variants hold all that is needed of it.

    def _chosen(self, accept_encoding: bytes | None) -> Variant | None:
        if accept_encoding is None:
            return self._identity
        place = preferred_coding(accept_encoding, self._codings)
        return None if place is None else self._variants[place]

    async def _send_unread(self, variant: Variant, start: Message, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._files.memory.body(variant)
        if scope["method"] == "HEAD":
            if body is None:
                await _check(variant)
            await _send_body(start, b"", send)
        elif body is not None:
            await _send_body(start, body, send)
        # The server sends the file itself (ASGI, "Path Send"), by sendfile where it can.
        elif "http.response.pathsend" in (scope.get("extensions") or ()):
            await _check(variant)
            await send(start)
            await send({"type": "http.response.pathsend", "path": variant.path})
        else:
            await _stream(variant, range(variant.size), start, receive, send)

    async def _send_part(self, variant: Variant, part: range, receive: Receive, send: Send) -> None:
        if not part:
            whole = (b"content-range", b"bytes */%d" % variant.size)
            await _send_empty(send, 416, [whole, *self._files.always, _NO_BODY])
            return
        body = await self._files.memory.body(variant)
        headers = [
            *variant.headers[:-1],
            (b"content-range", b"bytes %d-%d/%d" % (part.start, part.stop - 1, variant.size)),
            (b"content-length", b"%d" % len(part)),
        ]
        start = {"type": "http.response.start", "status": 206, "headers": headers}
        if body is None:
            await _stream(variant, part, start, receive, send)
        else:
            await _send_body(start, body[part.start : part.stop], send)


class RedirectResponse:
    """Answers 302: from a directory's path to the same with a slash, or from its index file to the directory.

    Args:
        location: Relative, and quoted. None: the last segment of the request's own path with a slash, which no one but
            the request knows when that is the segment of an outer prefix.
        headers: Those of the answer, without ``location``.
        always: Those of a 405.
    """

    __slots__ = ("_always", "_headers", "_location")

    def __init__(self, location: bytes | None, headers: RawHeaders, always: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._location = location
        self._always = always
        self._headers = headers

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["method"] not in ("GET", "HEAD"):
            return _send_empty(send, 405, [_ALLOW, *self._always, _NO_BODY])
        location = self._location
        if location is None:
            location = quote(scope["path"].rpartition("/")[2]).encode() + b"/"
        return _send_empty(send, 302, [*self._headers, (b"location", location), _NO_BODY])


def _part(asked: Mapping[bytes, bytes], variant: Variant) -> range | None:
    value = asked.get(b"range")
    if value is None:
        return None
    if_range = asked.get(b"if-range")
    if if_range is not None and not range_still_holds(if_range, variant.etag, variant.last_modified):
        return None
    return byte_range(value, variant.size)


async def _check(variant: Variant) -> None:
    file = OpenFile(variant)
    try:
        await in_thread(file.open)
    finally:
        file.close()


def _send_empty(send: Send, status: int, headers: RawHeaders) -> Awaitable[None]:
    return _send_body({"type": "http.response.start", "status": status, "headers": headers}, b"", send)


async def _send_body(start: Message, body: bytes, send: Send) -> None:
    try:
        await send(start)
        if len(body) > BLOCK:
            for position in range(0, len(body) - BLOCK, BLOCK):
                block = body[position : position + BLOCK]
                await send({"type": "http.response.body", "body": block, "more_body": True})
            body = body[position + BLOCK :]
        await send({"type": "http.response.body", "body": body})
    except OSError:
        return  # The client has left (ASGI specification 2.4, "Disconnected client").


async def _stream(variant: Variant, part: range, start: Message, receive: Receive, send: Send) -> None:
    file = OpenFile(variant)
    missing = 0
    try:
        await in_thread(file.open, part.start)
        async with anyio.create_task_group() as tasks:
            # Most servers drop what is sent to a client that has left; without this the file would be read to its end.
            tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
            missing = await _send_blocks(file, start, len(part), send)
            tasks.cancel_scope.cancel()
    finally:
        file.close()
    if missing:
        raise RuntimeError(
            f"{variant.path!r} became shorter while it was sent, so its answer cannot be completed. "
            "Write a new file beside the old one and rename it."
        )


async def _send_blocks(file: OpenFile, start: Message, missing: int, send: Send) -> int:
    """Returns how many bytes the file lacks; 0 also if the client has left."""
    if not await _delivered(send, start):
        return 0
    if not missing:
        await _delivered(send, {"type": "http.response.body", "body": b""})
    while missing:
        block = await in_thread(file.read, min(missing, BLOCK))
        if not block:
            return missing
        missing -= len(block)
        if not await _delivered(send, {"type": "http.response.body", "body": block, "more_body": missing > 0}):
            return 0
    return 0


async def _delivered(send: Send, message: Message) -> bool:
    try:
        await send(message)
    except OSError:
        return False
    return True


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
