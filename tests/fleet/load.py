"""Clients that go on asking, each time on a fresh connection, and keep what they were answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import NamedTuple
from uuid import uuid4

import httpx

PATHS = ("/fleet/process?seconds=0.3", "/api/notes?search=none", "/", "/admin/login/", "/fleet/process")


class Lost(NamedTuple):
    """A request that was not answered as it would have been at any other time. When, is by `time.monotonic()`."""

    what: str
    answer: str
    began: float
    ended: float


class Load:
    """Each of `clients` threads asks in a loop until the block is left: pages, the API, slow calls, and new notes.

    `counts` has the requests by kind, `created` the titles whose creation was confirmed, `processes` who answered, and
    `lost` what went wrong.
    """

    def __init__(self, url: str, clients: int = 4) -> None:
        self._url = url
        self.clients = clients
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(clients)]
        self._lock = threading.Lock()
        self.asked = 0
        self.counts: Counter[str] = Counter()
        self.created: list[str] = []
        self.processes: set[int] = set()
        self.lost: list[Lost] = []

    def _go_on(self) -> None:
        while not self._over.is_set():
            for path in PATHS:
                answer = self._ask("GET", path, 200)
                if answer is not None and "process" in path:
                    self.processes.add(answer.json())
            title = uuid4().hex
            if self._ask("POST", "/api/notes", 201, json=[{"title": title}]) is not None:
                self.created.append(title)

    def _ask(self, method: str, path: str, status: int, **options: object) -> httpx.Response | None:
        what, began = f"{method} {path}", time.monotonic()
        with self._lock:
            self.asked += 1
            self.counts[what] += 1
        try:
            # Without a client of its own: every call is a connection.
            answer = httpx.request(method, self._url + path, timeout=30, verify=False, **options)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            self.lost.append(Lost(what, repr(error), began, time.monotonic()))
            return None
        if answer.status_code != status:
            self.lost.append(Lost(what, f"{answer.status_code} {answer.text[:200]}", began, time.monotonic()))
            return None
        return answer

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
