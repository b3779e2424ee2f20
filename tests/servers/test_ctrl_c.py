"""Ctrl-C, once and again."""

from __future__ import annotations

import signal
import time

from harness import Server


def test_a_second_ctrl_c_ends_the_process() -> None:
    """With a stream open, the first Ctrl-C waits for it; the second ends the process, with no error of ours."""
    with Server("servers.streaming_app:app") as server, server.client() as client:
        with client.stream("GET", "/api/stream") as response:
            lines = response.iter_lines()  # Which closes the response when it is thrown away.
            assert next(lines) == "part"
            server.process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + 30
            while "Waiting for connections to close" not in server.log and time.monotonic() < deadline:
                time.sleep(0.05)
            assert server.process.poll() is None
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(30) is not None
        assert "ended before shutdown" not in server.log
