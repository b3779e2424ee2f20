"""The findings of the doctor, looked for on a thread of their own while somebody looks at the page."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.core import checks
from django.core.checks import CheckMessage

from djfast_mount.routing.root_interface import Root

__all__ = ["Doctor", "doctor"]

logger = logging.getLogger("djfast_mount.dashboard")

# Seconds after which it is asked again. It reads every static file, and nothing of what it looks at changes often.
_STALE = 3600.0


class Doctor:
    """Asks the doctor, at most one at a time. It sends no requests and asks no database, as the command does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = False  # guarded by _lock
        self.findings: Callable[[Root], list[CheckMessage]] = lambda _: []
        """What looks; djfast_mount.dashboard.urls puts it here."""
        self._asked = 0.0  # guarded by _lock; time.time()
        self.found: list[CheckMessage] = []  # Replaced as a whole, so that a reader needs no lock.

    def ask(self, root: Root) -> None:
        """Begins to look, where nobody has for an hour. Returns at once. For any thread."""
        with self._lock:
            if self._running or time.time() - self._asked < _STALE:
                return
            self._running = True
        threading.Thread(target=self._look, args=[root], name="djfast_mount-doctor", daemon=True).start()

    @property
    def note(self) -> str:
        """When it looked, in words."""
        if self._running:
            return "is looking"
        looked = time.strftime("looked at %H:%M", time.localtime(self._asked)) if self._asked else "has not looked"
        return f"{looked}; manage.py mount_doctor asks the databases and the site too"

    def _look(self, root: Root) -> None:
        try:
            self.found = self.findings(root)
        except Exception as error:
            logger.exception("The doctor failed.")
            hint = "The log has its traceback. Run `manage.py mount_doctor`."
            self.found = [checks.Warning(f"The doctor failed: {type(error).__name__}.", hint=hint)]
        finally:
            with self._lock:
                self._running = False
                self._asked = time.time()


doctor = Doctor()
"""That of this process."""
