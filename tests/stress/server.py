"""The roots, served by uvicorn in a child process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from harness import Server

THREADS = 8
Figures = Callable[[str], None]
Serve = Callable[..., contextlib.AbstractContextManager[Server]]


@contextlib.contextmanager
def under_load(
    root: str,
    database: str,
    *options: str,
    threads: int = THREADS,
    max_age: int = 0,
    health_checks: bool = False,
    wait_timeout: float = 10.0,
    grace: float | None = None,
) -> Iterator[Server]:
    """`stress.roots:<root>` on the database at that URL. Killed at the end if it does not stop by itself."""
    env = {
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "stress.settings",
        "TEST_CONN_MAX_AGE": str(max_age),
        "TEST_CONN_HEALTH_CHECKS": "1" if health_checks else "0",
        "STRESS_THREADS": str(threads),
        "STRESS_WAIT_TIMEOUT": str(wait_timeout),
        "STRESS_GRACE": "" if grace is None else str(grace),
    }
    server = Server(f"stress.roots:{root}", "--log-level", "warning", *options, env=env)
    try:
        yield server.wait_until_ready(timeout=120)
    finally:
        server.process.kill()
        server.process.wait()
        server.__exit__()


def tail(server: Server, lines: int = 40) -> str:
    """The end of the server's log, for the message of a failure."""
    return "\n".join(server.log.splitlines()[-lines:])


def judge(root: str, found: dict[str, str], shows: set[str], server_log: str = "") -> None:
    """Fail unless the library's root shows nothing, and any other at least the names in `shows`."""
    if root == "mounted":
        told = "\n".join(f"  {name}: {detail}" for name, detail in found.items())
        assert not found, f"{told}\n--- the server's log ends:\n{server_log}"
    else:
        assert shows <= set(found), f"{root} no longer shows {shows - set(found)}: only {found}"
