"""Clients of event streams and of websockets: they connect again when theirs ends, and keep how it ended."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import NamedTuple

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

AGAIN = 0.2  # seconds before the next try
EVERY = 0.5  # seconds between two messages to a websocket
STREAM, SOCKET = "/api/notes/changes", "/api/notes/search"


class Refused(NamedTuple):
    """A connection that was asked for and not had. When, is by `time.monotonic()`."""

    what: str
    answer: str
    began: float
    ended: float


class LongLived(threading.Thread):
    """One client. `ends` has how its connections ended, `gaps` the seconds from an end to the next connection."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._over = threading.Event()
        self.ends: Counter[str] = Counter()
        self.gaps: list[float] = []
        self.refused: list[Refused] = []

    def run(self) -> None:
        ended = None
        while not self._over.is_set():
            began = time.monotonic()
            try:
                how = self._live(ended)
            except (httpx.TransportError, OSError, InvalidHandshake) as error:
                self.refused.append(Refused(type(self).__name__, repr(error), began, time.monotonic()))
            else:
                ended = time.monotonic()
                if not self._over.is_set():
                    self.ends[how] += 1
            self._over.wait(AGAIN)

    def _connected(self, ended: float | None) -> None:
        if ended is not None:
            self.gaps.append(time.monotonic() - ended)

    def _live(self, ended: float | None) -> str:
        """Returns how a connection ended that was had."""
        raise NotImplementedError

    def __enter__(self) -> LongLived:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self.join()


class Listener(LongLived):
    """Reads the notes as server-sent events, from the last one on that it has seen. `seen` has their titles."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._last = "0"
        self.seen: list[str] = []

    def _live(self, ended: float | None) -> str:
        headers = {"Last-Event-ID": self._last}
        with httpx.stream("GET", self._url + STREAM, headers=headers, timeout=60, verify=False) as answer:
            if answer.status_code != 200:
                raise httpx.RemoteProtocolError(f"answered {answer.status_code}")
            self._connected(ended)
            try:
                self._read(answer)
            except httpx.TransportError:
                return "cut off"
            return "ended"

    def _read(self, answer: httpx.Response) -> None:
        title = ""
        for line in answer.iter_lines():
            field, _, value = line.partition(": ")
            if field == "data":
                title = json.loads(value)["title"]
            if field == "id":
                self._last = value
            if not line and title:
                self.seen.append(title)
                title = ""
            if self._over.is_set():
                return


class Searcher(LongLived):
    """Sends a text twice a second to a websocket, and is answered."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.answered = 0

    def _live(self, ended: float | None) -> str:
        with connect(f"ws{self._url.removeprefix('http')}{SOCKET}", open_timeout=30) as websocket:
            self._connected(ended)
            try:
                while not self._over.wait(EVERY):
                    websocket.send("none")
                    websocket.recv(timeout=30)
                    self.answered += 1
            except ConnectionClosed as error:
                return f"closed by {error.rcvd.code}" if error.rcvd else "cut off"
            return "by us"
