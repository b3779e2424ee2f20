"""The bytes of static files: read on worker threads, kept in memory if they are few.

1. The event loop never waits for the disk: files are opened and read on AnyIO's worker threads, under a limit of this
   module's own, so that neither a request's thread nor AnyIO's other users stand in the way.
2. A file that is not what the table says is never sent: StaleFile is raised instead, when it is opened.
3. A descriptor is closed when the answer ends, however it ends, but never while a thread reads from it.
"""

from __future__ import annotations

import collections
import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel
import anyio.to_thread
from django.utils.http import parse_http_date_safe

__all__ = ["FileMemory", "OpenFile", "RawHeaders", "StaleFile", "Variant", "in_thread"]

RawHeaders = list[tuple[bytes, bytes]]
T = TypeVar("T")
Args = TypeVarTuple("Args")

_MOST_THREADS = 16
_limiter: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("djfast_mount.file_contents")


class StaleFile(Exception):
    """The file is gone, cannot be read, or is not what the table says. Raised before anything of it is sent."""


async def in_thread(function: Callable[[*Args], T], *args: *Args) -> T:
    """Returns what `function` returns, called on one of AnyIO's worker threads, which no request holds."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_MOST_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(function, *args, limiter=limiter)


class Variant:
    """One representation of a file: as it is, or encoded beforehand (``app.css.gz``).

    Args:
        path: Where it lies.
        coding: Its content coding, ``identity`` if it has none.
        size: In bytes.
        modified_ns: Its time of modification. A file with another size or time is another file.
        headers: Those of a 200, ready-encoded, ``content-length`` last.
        not_modified: Those of a 304.
    """

    __slots__ = (
        "body",
        "coding",
        "etag",
        "headers",
        "last_modified",
        "modified",
        "modified_ns",
        "not_modified",
        "path",
        "recent",
        "size",
    )

    def __init__(
        self, path: str, coding: str, size: int, modified_ns: int, headers: RawHeaders, not_modified: RawHeaders
    ) -> None:
        self.path = path
        self.coding = coding
        self.size = size
        self.modified_ns = modified_ns
        self.headers = headers
        self.not_modified = not_modified
        known = dict(headers)
        self.etag = known.get(b"etag")
        self.last_modified = date = known.get(b"last-modified")
        self.modified = None if date is None else parse_http_date_safe(date.decode("latin-1"))
        self.body: bytes | None = None  # written by FileMemory alone, under its lock
        self.recent = False  # whether it was sent since FileMemory last looked


class FileMemory:
    """The bodies of small files, at most `limit` bytes of them. Any thread may call it.

    When it is full, a body makes room that was not sent since its last turn came (the second-chance rule): knowing that
    costs a request no more than the setting of an attribute.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # One file is not to push out all the others.
        self.largest = limit // 16
        self._lock = threading.Lock()
        self._kept: collections.deque[Variant] = collections.deque()  # guarded by _lock
        self._used = 0  # guarded by _lock

    @property
    def used(self) -> int:
        """Bytes kept now."""
        return self._used

    async def body(self, variant: Variant) -> bytes | None:
        """The whole body, read and kept if it was not; None if the file is too large to be kept. Raises StaleFile."""
        if variant.body is None and 0 < variant.size <= self.largest:
            return await in_thread(self._read, variant)
        return variant.body

    def _read(self, variant: Variant) -> bytes:
        with contextlib.closing(OpenFile(variant)) as file:
            file.open()
            body = file.read_whole()
        with self._lock:
            if variant.body is None:  # Else another reader was first, and the copy just read is forgotten.
                self._keep(variant, body)
            return variant.body or body

    def _keep(self, variant: Variant, body: bytes) -> None:
        while self._used + len(body) > self.limit:
            oldest = self._kept.popleft()
            if oldest.recent:
                oldest.recent = False
                self._kept.append(oldest)
            else:
                self._used -= len(oldest.body or b"")
                oldest.body = None
        variant.body = body
        self._used += len(body)
        self._kept.append(variant)


class OpenFile:
    """A file that threads read while another may close it: the last thread that needs it closes the descriptor.

    Without that rule a cancelled request would close a descriptor that a thread is about to read from, and its number
    may by then be a socket's.
    """

    def __init__(self, variant: Variant) -> None:
        self._variant = variant
        self._lock = threading.Lock()
        self._raw: io.FileIO | None = None  # closed under _lock, which guards the next two
        self._in_use = False
        self._closed = False

    def open(self, start: int = 0) -> None:
        """Opens the file at byte `start`. Raises StaleFile if it is not the one described."""
        with self._used():
            try:
                self._raw = io.FileIO(self._variant.path)
                found = os.fstat(self._raw.fileno())
                self._raw.seek(start)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
                # Other errors, such as too many open files, say nothing of this one: it is not a 404.
                raise StaleFile(self._variant.path) from error
            if (found.st_size, found.st_mtime_ns) != (self._variant.size, self._variant.modified_ns):
                raise StaleFile(self._variant.path)

    def read(self, length: int) -> bytes:
        """The next bytes, at most `length`; none at the end of the file, or when it is closed."""
        with self._used():
            return b"" if self._raw is None or self._raw.closed else self._raw.read(length)

    def read_whole(self) -> bytes:
        """All the bytes that were promised. Raises StaleFile if the file has become shorter since it was opened."""
        blocks = []
        missing = self._variant.size
        while missing:
            blocks.append(self.read(missing))
            missing -= len(blocks[-1])
            if not blocks[-1]:
                raise StaleFile(self._variant.path)
        return b"".join(blocks)

    def close(self) -> None:
        """Closes the file, now or when the thread that is at it is done. For any thread, any number of times."""
        with self._lock:
            self._closed = True
            self._close_unused()

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        with self._lock:
            self._in_use = True
        try:
            yield
        finally:
            with self._lock:
                self._in_use = False
                self._close_unused()

    def _close_unused(self) -> None:
        if self._closed and not self._in_use and self._raw is not None:
            self._raw.close()
