"""A server of `tracing_site` that writes each span to a file once it has ended: `uvicorn traced_server:app`.

TEST_SPANS is the path of the file. With TEST_INSTRUMENTED, opentelemetry-instrumentation-django and -fastapi are on.
"""

import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

django.setup()

import telemetry_site  # noqa: E402
from djfast_mount import mount  # noqa: E402
from tracing_site import add_steps, traced_async_view, traced_view  # noqa: E402

FILE = Path(os.environ["TEST_SPANS"])


class Written(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with FILE.open("a") as out:
            for span in spans:
                out.write(f"{json.dumps(told(span))}\n")
        return SpanExportResult.SUCCESS


def told(span: ReadableSpan) -> dict[str, Any]:
    context: Any = span.context
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace": f"{context.trace_id:032x}",
        "id": f"{context.span_id:016x}",
        "parent": None if span.parent is None else f"{span.parent.span_id:016x}",
    }


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Written()))
trace.set_tracer_provider(provider)
telemetry_site.urlpatterns += [
    telemetry_site.path("traced/", traced_view),
    telemetry_site.path("traced/async/", traced_async_view),
]
settings.ROOT_URLCONF = "telemetry_site"
settings.DJFAST_MOUNT = {"telemetry": True, "opentelemetry": True}
api = add_steps(telemetry_site.make_api())
if os.environ.get("TEST_INSTRUMENTED"):
    instrumentation = "opentelemetry.instrumentation"
    importlib.import_module(f"{instrumentation}.django").DjangoInstrumentor().instrument()
    importlib.import_module(f"{instrumentation}.fastapi").FastAPIInstrumentor.instrument_app(api)
app = mount("/api", api)
