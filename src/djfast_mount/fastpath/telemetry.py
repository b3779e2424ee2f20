"""FastAPI's telemetry, not asked where nobody has set it up.

FastAPI asks for OpenTelemetry's three providers on each call, and each of them asks the environment: a tenth of what a
small endpoint costs. Where no provider is set and none is named in the environment, the answer is known, and FastAPI
takes ``scope["fastapi.telemetry"]`` for it. What is inside of FastAPI's own middleware finds the scope as it would be.

Names used here that are not public, each with a canary test: the key ``fastapi.telemetry``; FastAPI._native_telemetry;
opentelemetry.trace._TRACER_PROVIDER, .metrics._internal._METER_PROVIDER, ._logs._internal._LOGGER_PROVIDER.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, MutableMapping
from typing import Any

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry._logs import _internal as logs
from opentelemetry.metrics import _internal as metrics
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["UNASKED", "ask_again", "unasked"]

_KEY = "fastapi.telemetry"
UNASKED = "djfast_mount.telemetry"
"""The key in the scope of a call for which FastAPI is not to look."""
_NAMED = ("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER", "OTEL_PYTHON_LOGGER_PROVIDER")


def unasked(app: ASGIApp, api: FastAPI) -> ASGIApp:
    """Returns `app`, which leads to `api`, so that `api` does not look for providers that are not there.

    Runs at start-up, which is when the environment is read. The router of `api` must call `ask_again`.
    """
    if api._native_telemetry.enabled() or any(name in os.environ for name in _NAMED):
        return app

    def call(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if (
            trace._TRACER_PROVIDER is None
            and metrics._METER_PROVIDER is None
            and logs._LOGGER_PROVIDER is None
            and _KEY not in scope
            and scope["type"] == "http"
        ):
            scope[_KEY] = None
            scope[UNASKED] = True
        return app(scope, receive, send)

    return call


def ask_again(scope: MutableMapping[str, Any]) -> None:
    """Takes back what `unasked` has put into the scope: a FastAPI that is mounted further inside asks for itself."""
    del scope[UNASKED], scope[_KEY]
