"""FastAPI's telemetry beneath the mount: not asked where nobody set it up, and whole where somebody did."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from opentelemetry import trace
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry._logs import _internal as logs
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.metrics import _internal as metrics
from opentelemetry.trace import NoOpTracerProvider

from calls import request
from djfast_mount import mount
from harness import PYTHONPATH

pytestmark = pytest.mark.once


class Spans(NoOpTracerProvider):
    """A provider that notes the names of the spans that are begun."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        tracer = super().get_tracer(*args, **kwargs)
        start = tracer.start_span

        def start_span(name: str, *more: Any, **options: Any) -> Any:
            self.names.append(name)
            return start(name, *more, **options)

        tracer.start_span = start_span  # type: ignore[method-assign]
        return tracer


class Provider(trace.TracerProvider):
    """No subclass of what FastAPI takes for no provider at all."""

    def __init__(self) -> None:
        self.spans = Spans()

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        return self.spans.get_tracer(*args, **kwargs)


def make_api(**options: Any) -> FastAPI:
    api = FastAPI(**options)

    @api.get("/keys")
    async def keys(request: Request) -> list[str]:
        return sorted(key for key in request.scope if "telemetry" in key)

    return api


def asked(api: FastAPI, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What `api` is told, each time that it asks whether telemetry has been set up."""
    answers: list[bool] = []
    enabled = api._native_telemetry.enabled

    def ask() -> bool:
        answers.append(enabled())
        return answers[-1]

    monkeypatch.setattr(api._native_telemetry, "enabled", ask)
    return answers


def test_nobody_is_asked_where_there_is_no_provider(root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a provider no call makes FastAPI look for one, and an endpoint finds nothing of that in its scope."""
    api = make_api()
    root = mount("/api", api)
    answers = asked(api, monkeypatch)
    assert request(root, root_path + "/api/keys", root_path=root_path).json() == []
    assert answers == []


def test_a_provider_of_the_app_is_used(root_path: str) -> None:
    """A FastAPI that was given a provider uses it."""
    provider = Provider()
    root = mount("/api", make_api(telemetry={"tracer_provider": provider}))
    assert request(root, root_path + "/api/keys", root_path=root_path).json() == ["fastapi.telemetry"]
    assert any(name.startswith("GET") for name in provider.spans.names)


def test_the_spans_of_sync_functions_are_left_where_they_were_begun(
    root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With a provider FastAPI's spans around plain functions are made and ended, and OpenTelemetry reports no fault."""
    provider = Provider()
    api = FastAPI(telemetry={"tracer_provider": provider})

    @api.get("/number")
    def number(given: Annotated[int, Depends(lambda: 3)]) -> int:
        return given

    root = mount("/api", api)
    assert request(root, root_path + "/api/number", root_path=root_path).json() == 3
    assert {"fastapi.dependencies", "fastapi.endpoint", "fastapi.serialization"} <= set(provider.spans.names)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_a_mounted_app_asks_for_itself(root_path: str) -> None:
    """A FastAPI with a provider of its own, mounted in one without, uses it."""
    provider = Provider()
    outer = make_api()
    outer.mount("/inner", make_api(telemetry={"tracer_provider": provider}))
    root = mount("/api", outer)
    assert request(root, root_path + "/api/inner/keys", root_path=root_path).json() == ["fastapi.telemetry"]
    assert provider.spans.names


@pytest.mark.parametrize(
    ("module", "name", "provider"),
    [
        (trace, "_TRACER_PROVIDER", NoOpTracerProvider),
        (metrics, "_METER_PROVIDER", NoOpMeterProvider),
        (logs, "_LOGGER_PROVIDER", NoOpLoggerProvider),
    ],
    ids=["traces", "metrics", "logs"],
)
def test_a_provider_that_is_set_later_is_asked_for(
    module: Any, name: str, provider: Any, root_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the day on that any of the three providers is set, FastAPI asks at each call."""
    api = make_api()
    root = mount("/api", api)
    answers = asked(api, monkeypatch)
    request(root, root_path + "/api/keys", root_path=root_path)
    monkeypatch.setattr(module, name, provider())
    request(root, root_path + "/api/keys", root_path=root_path)
    assert answers == [True]


SETTING = """
from opentelemetry import metrics, trace, _logs
from opentelemetry.metrics import _internal as metrics_internal, NoOpMeterProvider
from opentelemetry._logs import _internal as logs_internal, NoOpLoggerProvider
assert trace._TRACER_PROVIDER is metrics_internal._METER_PROVIDER is logs_internal._LOGGER_PROVIDER is None
trace.set_tracer_provider(trace.NoOpTracerProvider())
metrics.set_meter_provider(NoOpMeterProvider())
_logs.set_logger_provider(NoOpLoggerProvider())
assert None not in (trace._TRACER_PROVIDER, metrics_internal._METER_PROVIDER, logs_internal._LOGGER_PROVIDER)
"""


def test_what_is_set_is_found_where_we_look() -> None:
    """The providers that are set by OpenTelemetry's functions are in the globals that are read for each call."""
    subprocess.run([sys.executable, "-c", SETTING], check=True, timeout=60)


NAMED = """
import django
from fastapi import FastAPI
from djfast_mount import mount
api = FastAPI()
asked = []
root = mount("/api", api)
enabled = api._native_telemetry.enabled
api._native_telemetry.enabled = lambda: asked.append(1) or enabled()
from calls import request
request(root, "/api/none")
assert asked
"""


def test_a_provider_that_is_named_in_the_environment_is_asked_for() -> None:
    """Where the environment names a provider, FastAPI asks at each call."""
    env = {
        **os.environ,
        "OTEL_PYTHON_TRACER_PROVIDER": "default_tracer_provider",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PYTHONPATH": PYTHONPATH,
    }
    subprocess.run([sys.executable, "-c", NAMED], check=True, timeout=60, env=env)
