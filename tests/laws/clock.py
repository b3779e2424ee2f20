"""An event loop whose clock the test turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class ClockLoop(asyncio.SelectorEventLoop):
    """Timers run when `turn()` has taken the clock past them, never by themselves."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__()

    def time(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        """Turn the clock on, and do what is due."""
        self.now += seconds
        self.settle()

    def settle(self) -> None:
        """Run what is ready, and what that makes ready."""
        for _ in range(10):
            self.run_until_complete(asyncio.sleep(0))

    def until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        """Run until other threads have brought `condition` about."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"It did not come about within {seconds:g} s.")
            self.run_until_complete(asyncio.sleep(0))
            time.sleep(0.0005)
