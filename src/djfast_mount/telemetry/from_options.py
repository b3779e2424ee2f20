"""From the options to the layers of a root."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from starlette.types import ASGIApp

from djfast_mount.conf import SETTING, option
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.request_thread.from_options import make_request_threads
from djfast_mount.telemetry.access_log import AccessLog
from djfast_mount.telemetry.observable_root import Unobserved
from djfast_mount.telemetry.observed_root import Observation
from djfast_mount.telemetry.request_ids import RequestIDs
from djfast_mount.telemetry.server_timing import ServerTiming
from djfast_mount.telemetry.threads import ObservedOwnThread, ObservedPoolThread, ObservedRequestThread
from djfast_mount.telemetry.watchers import Watcher, Watching
from djfast_mount.threads.pool import Pool

__all__ = ["Unobserved", "make_layers"]

# Options that would have no effect without telemetry. To ignore them would hide a mistake.
_NEED_TELEMETRY = ("access_log", "metrics_path", "opentelemetry", "sentry", "server_timing")


def make_layers(sender: object, threads: int | None, wait_timeout: float, grace: float | None) -> Unobserved:
    """Returns the layers of a root as the settings have them, and its threads. No thread is started yet.

    Args:
        sender, threads, wait_timeout, grace: As `make_request_threads()` takes them.

    Raises: ConfigurationError.
    """
    # Other classes, not a flag that each request would ask: without telemetry nothing of this room is in the way.
    if not option("telemetry"):
        _check_nothing_is_asked()
        return Unobserved(make_request_threads(sender, threads, wait_timeout, grace))
    observed = make_request_threads(
        sender,
        threads,
        wait_timeout,
        grace,
        hooks=ObservedPoolThread,
        own_thread=ObservedOwnThread,
        kind=ObservedRequestThread,
    )
    watching = Watching(option("repeated_after"), _watchers(observed.pool))
    return Observation(observed, watching, _paths())


def _check_nothing_is_asked() -> None:
    for key in _NEED_TELEMETRY:
        if option(key):
            raise ConfigurationError(
                f"settings.{SETTING}[{key!r}] is {option(key)!r}, and telemetry is off. "
                f"Set settings.{SETTING}['telemetry'] to True."
            )


def _optional(name: str, extra: str) -> Any:
    """Returns what stands under `name` in this room: in a module that imports a package which is optional."""
    try:
        # By name, as these modules import optional packages at their top.
        return import_string(f"djfast_mount.telemetry.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"settings.{SETTING} asks for {extra}, and {error.name} is not installed. "
            f"Install it: pip install 'djfast-mount[{extra}]'."
        ) from error


def _paths() -> dict[str, ASGIApp]:
    path = option("metrics_path")
    if path is None:
        return {}
    token = option("metrics_token")
    # Refused at the start: metrics name every route, and tell when the site is idle.
    if token is None and option("metrics_access") == "token" and not settings.DEBUG:
        raise ConfigurationError(
            f"settings.{SETTING}['metrics_path'] is {path!r}, and there is no token: everybody could read the metrics. "
            f"Set 'metrics_token', or 'metrics_access' to 'public' if the path cannot be reached from outside."
        )
    metrics: ASGIApp = _optional("prometheus.Metrics", "prometheus")(token)
    return {path: metrics}


def _watchers(pool: Pool) -> Iterator[Watcher]:
    """Yields those that the settings ask for, the outermost first."""
    if (header := option("request_id")) is not None:
        yield RequestIDs(header)
    if option("opentelemetry"):
        yield _optional("tracing.Tracing", "opentelemetry")()
    if option("sentry"):
        yield _optional("sentry.SentryWatcher", "sentry")(option("error_event_id"))
    if option("metrics_path") is not None:
        yield _optional("prometheus.PrometheusWatcher", "prometheus")(pool)
    if (form := option("access_log")) is not None:
        yield AccessLog(form)
    timing = option("server_timing")
    if settings.DEBUG if timing is None else timing:
        yield ServerTiming()
