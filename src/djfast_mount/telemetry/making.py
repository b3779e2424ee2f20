"""From the options to the layers of a root."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from djfast_mount.conf import SETTING, option
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.request_thread.making import make_request_threads
from djfast_mount.telemetry.access_log import AccessLog
from djfast_mount.telemetry.layers import Unobserved
from djfast_mount.telemetry.observation import Observation
from djfast_mount.telemetry.request_ids import RequestIDs
from djfast_mount.telemetry.server_timing import ServerTiming
from djfast_mount.telemetry.threads import ObservedOwnThread, ObservedPoolThread, ObservedThreads
from djfast_mount.telemetry.watching import Watcher, Watching

__all__ = ["Unobserved", "make_layers"]

# What is nothing without telemetry.
_NEED_TELEMETRY = ("access_log", "server_timing")


def make_layers(sender: object, threads: int | None, wait_timeout: float, grace: float | None) -> Unobserved:
    """Returns the layers of a root as the settings have them, and its threads. No thread is started yet.

    Args:
        sender, threads, wait_timeout, grace: As `make_request_threads()` takes them.

    Raises: ConfigurationError.
    """
    if not option("telemetry"):
        _check_nothing_is_asked()
        return Unobserved(make_request_threads(sender, threads, wait_timeout, grace))
    observed = make_request_threads(
        sender,
        threads,
        wait_timeout,
        grace,
        kind=ObservedThreads,
        hooks=ObservedPoolThread,
        own_thread=ObservedOwnThread,
    )
    return Observation(observed, Watching(option("repeated_after"), _watchers()))


def _check_nothing_is_asked() -> None:
    for key in _NEED_TELEMETRY:
        if option(key):
            raise ConfigurationError(
                f"settings.{SETTING}[{key!r}] is {option(key)!r}, and telemetry is off. "
                f"Set settings.{SETTING}['telemetry'] to True."
            )


def _watchers() -> Iterator[Watcher]:
    """Yields those that the settings ask for, the outermost first."""
    if (header := option("request_id")) is not None:
        yield RequestIDs(header)
    if (form := option("access_log")) is not None:
        yield AccessLog(form)
    timing = option("server_timing")
    if settings.DEBUG if timing is None else timing:
        yield ServerTiming()
