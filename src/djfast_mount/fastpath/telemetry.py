"""Whether anybody watches a call by FastAPI's telemetry, asked at less cost than FastAPI asks it.

FastAPI asks for OpenTelemetry's three providers on each call, and each of them asks the environment. Where no provider
is set, none is named in the environment, and nobody has replaced the functions that are asked, the answer is known.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from fastapi import FastAPI
from opentelemetry import metrics, trace

from djfast_mount.fastpath.private_names import private

__all__ = ["Question", "is_traced", "question_of"]

_NAMED = ("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER", "OTEL_PYTHON_LOGGER_PROVIDER")
_PROVIDERS: tuple[Literal["tracer_provider", "meter_provider", "logger_provider"], ...] = (
    *("tracer_provider", "meter_provider", "logger_provider"),
)


class Question(NamedTuple):
    """What tells whether a call of an API is watched: its telemetry is on, or its caller is traced."""

    is_watched: Callable[[], bool]
    unwatched: Sequence[str]
    """Expressions that ask the same in another way. Where all of them are true, the call is not watched."""
    names: Mapping[str, Any]
    """What they name."""


def question_of(api: FastAPI) -> Question:
    """Returns what tells whether a call of `api` is watched.

    Runs at start-up, when the environment is read.
    """
    enabled: Callable[[], bool] = api._native_telemetry.enabled

    def is_watched() -> bool:
        return enabled() or is_traced()

    if any(name in os.environ for name in _NAMED) or any(api._telemetry[name] is not None for name in _PROVIDERS):
        return Question(is_watched, ["not is_watched()"], {"is_watched": is_watched})
    # By name, and only where private_names has found them.
    logs: Any = importlib.import_module("opentelemetry._logs")
    names = {
        "tracers": vars(trace),
        "meters": vars(importlib.import_module("opentelemetry.metrics._internal")),
        "loggers": vars(importlib.import_module("opentelemetry._logs._internal")),
        "trace": trace,
        "metrics": metrics,
        "logs": logs,
        "get_tracer": trace.get_tracer_provider,
        "get_meter": metrics.get_meter_provider,
        "get_logger": logs.get_logger_provider,
        "otel_context": private.otel_context,
        "is_traced": is_traced,
    }
    unset = [
        "tracers['_TRACER_PROVIDER'] is None",
        "meters['_METER_PROVIDER'] is None",
        "loggers['_LOGGER_PROVIDER'] is None",
        "trace.get_tracer_provider is get_tracer",
        "metrics.get_meter_provider is get_meter",
        "logs.get_logger_provider is get_logger",
    ]
    # Most calls have no context of OpenTelemetry's at all.
    return Question(is_watched, [*unset, "not (otel_context.get(None) and is_traced())"], names)


def is_traced() -> bool:
    """Whether the caller is in the midst of a call that FastAPI traces: one in the same process inherits that."""
    context: Any = private.otel_context.get(None)
    return bool(context) and private.get_telemetry_data() is not None
