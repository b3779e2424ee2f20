"""Whether anybody watches a call by FastAPI's telemetry, asked at less cost than FastAPI asks it.

FastAPI asks for OpenTelemetry's three providers on each call, and each of them asks the environment. Where no provider
is set, none is named in the environment, and nobody has replaced the functions that are asked, the answer is known.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, Literal

from fastapi import FastAPI
from opentelemetry import metrics, trace

from djfast_mount.fastpath.private_names import private

__all__ = ["is_traced", "question_of"]

_NAMED = ("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER", "OTEL_PYTHON_LOGGER_PROVIDER")
_PROVIDERS: tuple[Literal["tracer_provider", "meter_provider", "logger_provider"], ...] = (
    *("tracer_provider", "meter_provider", "logger_provider"),
)


def question_of(api: FastAPI) -> Callable[[], bool]:
    """Returns what tells whether a call of `api` is watched: its telemetry is on, or its caller is traced.

    Runs at start-up, when the environment is read.
    """
    enabled: Callable[[], bool] = api._native_telemetry.enabled

    def asked() -> bool:
        return enabled() or is_traced()

    if any(name in os.environ for name in _NAMED):
        return asked
    if any(api._telemetry[name] is not None for name in _PROVIDERS):
        return asked
    # By name, and only where private_names has found them.
    logs: Any = importlib.import_module("opentelemetry._logs")
    tracers = vars(trace)
    meters = vars(importlib.import_module("opentelemetry.metrics._internal"))
    loggers = vars(importlib.import_module("opentelemetry._logs._internal"))
    get_tracer, get_meter, get_logger = trace.get_tracer_provider, metrics.get_meter_provider, logs.get_logger_provider

    context = private.otel_context

    def is_watched() -> bool:
        if (
            tracers["_TRACER_PROVIDER"] is None
            and meters["_METER_PROVIDER"] is None
            and loggers["_LOGGER_PROVIDER"] is None
            and trace.get_tracer_provider is get_tracer
            and metrics.get_meter_provider is get_meter
            and logs.get_logger_provider is get_logger
        ):
            return is_traced() if context.get(None) else False
        return asked()

    return is_watched


def is_traced() -> bool:
    """Whether the caller is in the midst of a call that FastAPI traces: one in the same process inherits that."""
    context: Any = private.otel_context.get(None)
    return bool(context) and private.get_telemetry_data() is not None
