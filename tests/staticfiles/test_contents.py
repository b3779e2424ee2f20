"""How the bytes of static files are read and kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from djfast_mount.staticfiles import contents as file_contents
from djfast_mount.staticfiles.contents import FileMemory, OpenFile, StaleFile, Variant

pytestmark = pytest.mark.once


def variant_of(path: Path) -> Variant:
    found = path.stat()
    return Variant(str(path), "identity", found.st_size, found.st_mtime_ns, [], [])


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Variant]:
    def file(name: str, content: bytes) -> Variant:
        (tmp_path / name).write_bytes(content)
        return variant_of(tmp_path / name)

    return file


_recorders: list[list[tuple[str, str, int]]] = []


def _note_open(event: str, details: tuple[object, ...]) -> None:
    if _recorders and event == "open":
        path, _, flags = details
        _recorders[0].append((str(path), threading.current_thread().name, int(flags)))  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def _audit() -> None:
    sys.addaudithook(_note_open)  # for good: there is no way to remove one


@pytest.fixture
def opened(_audit: None) -> Iterator[list[tuple[str, str, int]]]:
    """Each file that the process opens: its path, the thread's name, the flags."""
    _recorders.append([])
    yield _recorders[0]
    _recorders.clear()


def test_memory_is_bounded(make: Callable[..., Variant]) -> None:
    """However many files are read, the memory never holds more bytes than its limit."""
    memory = FileMemory(1600)
    for number in range(50):
        assert asyncio.run(memory.body(make(f"{number}", bytes([number]) * 90))) == bytes([number]) * 90
        assert memory.used <= 1600
    assert memory.used > 1400


def test_memory_gives_up_what_is_not_asked_for(make: Callable[..., Variant]) -> None:
    """A file that is sent again and again stays in a full memory."""
    memory = FileMemory(1600)
    favourite = make("favourite", b"x" * 100)
    asyncio.run(memory.body(favourite))
    for number in range(100):
        favourite.recent = True
        asyncio.run(memory.body(make(f"{number}", b"y" * 100)))
    assert favourite.body == b"x" * 100


def test_memory_refuses_large_files(make: Callable[..., Variant]) -> None:
    """No single file takes more than a sixteenth of the memory."""
    memory = FileMemory(1600)
    assert asyncio.run(memory.body(make("small", b"x" * 100))) is not None
    assert asyncio.run(memory.body(make("large", b"x" * 101))) is None


def test_memory_of_none(make: Callable[..., Variant]) -> None:
    """With a limit of 0 nothing is kept, not even what is empty."""
    memory = FileMemory(0)
    assert asyncio.run(memory.body(make("empty", b""))) is None
    assert asyncio.run(memory.body(make("small", b"x"))) is None


def test_concurrent_readers_share_one_body(make: Callable[..., Variant]) -> None:
    """Many first requests at once leave one body in memory, and all get that one."""
    memory = FileMemory(10**6)
    variant = make("file", b"x" * 5000)

    async def all_at_once() -> list[bytes | None]:
        return await asyncio.gather(*(memory.body(variant) for _ in range(40)))

    bodies = asyncio.run(all_at_once())
    assert {id(body) for body in bodies} == {id(variant.body)}
    assert memory.used == 5000


def test_files_are_read_off_the_event_loop(make: Callable[..., Variant], opened: list[tuple[str, str, int]]) -> None:
    """No file is opened on the event loop's thread."""
    variant = make("file", b"x")
    asyncio.run(FileMemory(10**6).body(variant))
    threads = [thread for path, thread, flags in opened if path == variant.path and not flags & os.O_WRONLY]
    assert threads == ["AnyIO worker thread"]


@pytest.mark.parametrize("change", ["gone", "longer", "newer", "unreadable"])
def test_a_changed_file_is_stale(make: Callable[..., Variant], change: str) -> None:
    """A file that is not the one described is not opened."""
    variant = make("file", b"old")
    path = Path(variant.path)
    if change == "gone":
        path.unlink()
    elif change == "longer":
        path.write_bytes(b"longer")
        os.utime(path, ns=(variant.modified_ns, variant.modified_ns))
    elif change == "newer":
        os.utime(path, ns=(variant.modified_ns, variant.modified_ns + 1000))
    else:
        path.unlink()
        path.mkdir()
    file = OpenFile(variant)
    with pytest.raises(StaleFile):
        file.open()
    file.close()
    assert not descriptors_of(path.parent)


def test_a_failing_system_is_no_missing_file(make: Callable[..., Variant]) -> None:
    """That no more files can be opened is an error of its own: the file is not taken for a missing one."""
    file = OpenFile(make("file", b"x"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            file.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)


def test_a_file_that_shrinks_while_it_is_read_is_stale(make: Callable[..., Variant]) -> None:
    """A body shorter than promised is never taken for the whole."""
    variant = make("file", b"x" * 100)
    file = OpenFile(variant)
    file.open()
    os.truncate(variant.path, 10)
    with pytest.raises(StaleFile):
        file.read_whole()
    file.close()


def test_close_waits_for_the_thread_that_reads(make: Callable[..., Variant], monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that a thread reads from is closed by that thread, when it is done, and not under its hands."""
    variant = make("file", b"content")
    reading, go_on = threading.Event(), threading.Event()

    class SlowDisk(file_contents.io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:  # type: ignore[override]
            reading.set()
            assert go_on.wait(10)
            return super().read(size) or b""

    monkeypatch.setattr(file_contents.io, "FileIO", SlowDisk)
    file = OpenFile(variant)
    file.open()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(file.read(100)))
    reader.start()
    assert reading.wait(10)
    file.close()
    assert descriptors_of(Path(variant.path).parent)
    go_on.set()
    reader.join(10)
    assert got == [b"content"]
    assert not descriptors_of(Path(variant.path).parent)
    assert file.read(1) == b""


def test_close_before_open(make: Callable[..., Variant]) -> None:
    """A file that is opened after it was given up is closed at once."""
    variant = make("file", b"content")
    file = OpenFile(variant)
    file.close()
    file.open()
    assert not descriptors_of(Path(variant.path).parent)


def descriptors_of(folder: Path) -> list[str]:
    """The files below `folder` that this process has open."""
    opened = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(str(folder)):
            opened.append(target)
    return opened
