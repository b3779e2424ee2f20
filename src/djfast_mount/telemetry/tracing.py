"""Each request as one server span of OpenTelemetry, with its waits and its statements as children.

1. The span is begun in the root and ended when the request has ended, background tasks included. It is the current one
   for all that serves the request: the context goes along to the request's thread.
2. Where the root stands in a server span that somebody else has begun, as `OpenTelemetryMiddleware` around it, that is
   the request's span: it gets name and attributes, and no other is begun.
3. FastAPI's own telemetry would begin a second one. It is told in the scope, as it tells apps that are mounted in an
   API, that the request is looked after. Instrumentation that is put into an app sees the span and begins an internal
   one below it.
4. Names and attributes are those of the semantic conventions. The query string and the values of statements are left
   out.

Only the API of OpenTelemetry is used: without an SDK nothing is recorded.
"""

from __future__ import annotations

from time import time_ns
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import metrics, propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, StatusCode

from djfast_mount.telemetry.statement_texts import shown
from djfast_mount.telemetry.watchers import Watcher

__all__ = ["Tracing"]

_SCHEMA = "https://opentelemetry.io/schemas/1.40.0"
_NAME = "djfast_mount"
_FASTAPIS = "fastapi.telemetry"
# Under this key the context has the span of its own request. A request to the same process that is made from within it
# begins another span.
_OWN = otel_context.create_key("djfast_mount.request")
# By Django's names for its databases: db.system.name.
_SYSTEMS = {"postgresql": "postgresql", "sqlite": "sqlite", "mysql": "mysql", "oracle": "oracle.db"}
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class _Headers(Getter[list[tuple[bytes, bytes]]]):
    """Reads the headers of a scope."""

    def get(self, carrier: list[tuple[bytes, bytes]], key: str) -> list[str] | None:
        wanted = key.lower().encode()
        return [value.decode("latin-1") for name, value in carrier if name == wanted] or None

    def keys(self, carrier: list[tuple[bytes, bytes]]) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_headers = _Headers()


class Tracing(Watcher):
    """Makes the spans, and measures `http.server.request.duration`."""

    def __init__(self) -> None:
        # Both stand for the providers that are set, also where that is later.
        self._tracer = trace.get_tracer(_NAME, schema_url=_SCHEMA)
        meter = metrics.get_meter(_NAME, schema_url=_SCHEMA)
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def begin(self, observed: Any) -> None:
        scope = observed.scope
        observed.scope = {**scope, _FASTAPIS: None}
        around = trace.get_current_span()
        if getattr(around, "kind", None) is SpanKind.SERVER and otel_context.get_value(_OWN) is not around:
            observed.span, observed.tokens, observed.ends_span = around, [], False
        else:
            parent = otel_context.get_current()
            if not around.get_span_context().is_valid:
                parent = propagate.extract(scope["headers"], getter=_headers)
            span = self._tracer.start_span(
                _word(observed),
                context=parent,
                kind=SpanKind.SERVER,
                attributes=_known_at_first(observed, scope),
                start_time=int(observed.started * 1e9),
            )
            inside = trace.set_span_in_context(span, parent)
            observed.span, observed.tokens, observed.ends_span = span, [otel_context.attach(inside)], True
        observed.tokens.append(otel_context.attach(otel_context.set_value(_OWN, observed.span)))

    def fail(self, observed: Any, error: BaseException) -> None:
        observed.span.record_exception(error)

    def note_wait(self, observed: Any, seconds: float) -> None:
        now = time_ns()
        self._tracer.start_span("wait for a thread", start_time=now - int(seconds * 1e9)).end(now)

    def note_statement(self, observed: Any, sql: Any, seconds: float, vendor: str) -> None:
        now = time_ns()
        text = shown(sql, vendor)
        attributes = {"db.system.name": _SYSTEMS.get(vendor, "other_sql"), "db.query.text": text}
        word = text.split(maxsplit=1)[0].upper() if text.strip() else "SQL"
        span = self._tracer.start_span(
            word,
            kind=SpanKind.CLIENT,
            attributes={**attributes, "db.operation.name": word},
            start_time=now - int(seconds * 1e9),
        )
        span.end(now)

    def end(self, observed: Any) -> None:
        span = observed.span
        attributes = {"http.request.method": _method(observed)} if observed.kind == "http" else {}
        if observed.route is not None:
            attributes["http.route"] = observed.route
            span.update_name(f"{_word(observed)} {observed.route}")
        if observed.kind == "http" and observed.status is not None:
            attributes["http.response.status_code"] = observed.status
        failed = observed.error or (observed.kind == "http" and (observed.status or 0) >= 500 and str(observed.status))
        if failed:
            attributes["error.type"] = failed
            span.set_status(StatusCode.ERROR)
        span.set_attributes({**attributes, "djfast_mount.owner": observed.owner})
        if observed.kind == "http":
            scheme = observed.scope.get("scheme", "http")
            self._duration.record(observed.duration, {**attributes, "url.scheme": scheme})
        if observed.ends_span:
            span.end()
        for token in reversed(observed.tokens):
            otel_context.detach(token)
        observed.span = observed.tokens = None


def _word(observed: Any) -> str:
    """The word for the method in the name of a span."""
    if observed.kind == "websocket":
        return "WS"
    return "HTTP" if observed.method == "OTHER" else str(observed.method)


def _method(observed: Any) -> str:
    return "_OTHER" if observed.method == "OTHER" else str(observed.method)


def _known_at_first(observed: Any, scope: Any) -> dict[str, Any]:
    """What a sampler may want to know."""
    headers = dict(scope["headers"])
    attributes = {
        "url.scheme": scope.get("scheme", "http"),
        "url.path": scope["path"],
        **_server(headers.get(b"host", b"").decode("latin-1")),
    }
    if (agent := headers.get(b"user-agent")) is not None:
        attributes["user_agent.original"] = agent.decode("latin-1")
    if observed.kind == "http":
        attributes["http.request.method"] = _method(observed)
        attributes["network.protocol.version"] = scope.get("http_version", "1.1")
    else:
        attributes["network.protocol.name"] = "websocket"
    return attributes


def _server(host: str) -> dict[str, Any]:
    try:
        parts = urlsplit(f"//{host}")
        found = {"server.address": parts.hostname, "server.port": parts.port}
    except ValueError:  # It is no host, which is for the Host check to say.
        return {}
    return {name: value for name, value in found.items() if value}
