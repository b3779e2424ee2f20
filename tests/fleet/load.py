"""Clients that go on asking, and keep what they were answered: on fresh connections, or on one that they keep open."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

from quickstart_site import logged_in

NOTHING: Mapping[str, str] = MappingProxyType({})
PATHS = ("/fleet/process?seconds=0.3", "/api/notes?search=none", "/", "/admin/login/", "/fleet/process")


class Lost(NamedTuple):
    """A request that was not answered as it would have been at any other time. When, is by `time.monotonic()`.

    `number` is what it had as X-Request-ID, by which the logs tell it from others.
    """

    what: str
    answer: str
    began: float
    ended: float
    number: str


class Pace:
    """So many turns a second for all threads that wait for theirs. What nobody took is not made up for."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next)
            self._next = mine + 1 / self._rate
        time.sleep(mine - now)


class Load:
    """Each of `clients` threads asks in a loop until the block is left: pages, the API, slow calls, and new notes.

    `counts` has the requests by kind, `created` the titles whose creation was confirmed, `processes` who answered, and
    `lost` what went wrong. It logs in when it is made.

    Args:
        rate: Requests a second, at most, of all clients; None: as many as they can.
        writing: Held during each POST, so that notes are committed in the order of their ids; None: nothing is.
    """

    name = "fresh"

    def __init__(
        self, url: str, clients: int = 4, rate: float | None = None, writing: threading.Lock | None = None
    ) -> None:
        self._url = url
        self.clients = clients
        self._pace = None if rate is None else Pace(rate)
        self._writing = writing or contextlib.nullcontext()
        with httpx.Client(base_url=url, timeout=30, verify=False) as client:
            self._logged_in = logged_in(client)
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
            with self._writing:
                if self._ask("POST", "/api/notes", 201, self._logged_in, json=[{"title": title}]) is not None:
                    self.created.append(title)

    def _ask(
        self, method: str, path: str, status: int, headers: Mapping[str, str] = NOTHING, **options: Any
    ) -> httpx.Response | None:
        if self._pace is not None:
            self._pace.wait()
        what = f"{method} {path}"
        with self._lock:
            self.asked += 1
            number = f"{self.name}-{self.asked}"
            self.counts[what] += 1
        began = time.monotonic()
        try:
            answer = self._send(method, self._url + path, headers={**headers, "X-Request-ID": number}, **options)
        except httpx.TransportError as error:
            self.lost.append(Lost(what, repr(error), began, time.monotonic(), number))
            return None
        if answer.status_code != status:
            told = f"{answer.status_code} {answer.text[:200]}"
            self.lost.append(Lost(what, told, began, time.monotonic(), number))
            return None
        return answer

    def _send(self, method: str, url: str, **options: Any) -> httpx.Response:
        # Without a client of its own: every call is a connection.
        return httpx.request(method, url, timeout=30, verify=False, **options)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


class KeptLoad(Load):
    """The same, each client on a connection that it keeps open.

    As browsers do, it repeats a GET, on a fresh connection, if a kept one has ended without an answer. `repeated` has
    how often it did, by kind.
    """

    name = "kept"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._own = threading.local()
        self.repeated: Counter[str] = Counter()

    def _send(self, method: str, url: str, **options: Any) -> httpx.Response:
        if not hasattr(self._own, "client"):
            self._own.client = httpx.Client(timeout=30, limits=httpx.Limits(keepalive_expiry=60))
        client: httpx.Client = self._own.client
        try:
            return client.request(method, url, **options)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            if method != "GET":
                raise
            self.repeated[type(error).__name__] += 1
            return client.request(method, url, **options)

    def _go_on(self) -> None:
        try:
            super()._go_on()
        finally:
            self._own.client.close()
