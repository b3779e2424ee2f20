"""OpenTelemetry: one server span for each request on either half, and everything else below it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics_module

import telemetry_site
from calls import ask, call, connect, http_scope, websocket_scope
from telemetry_site import make_api, site
from tracing_site import STEPS, add_steps, traced_async_view, traced_view

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
ON = {"opentelemetry": True}


telemetry_site.urlpatterns.append(telemetry_site.path("traced/", traced_view))
telemetry_site.urlpatterns.append(telemetry_site.path("traced/async/", traced_async_view))


def api() -> FastAPI:
    return add_steps(make_api())


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Those that have ended. The provider is set as the project would, and taken out again."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def tree(spans: InMemorySpanExporter) -> dict[str, set[str]]:
    """The names of the children of each span, by its name. Fails for a span whose parent is none of them."""
    ended = spans.get_finished_spans()
    by_id = {span.context.span_id: span for span in ended if span.context}
    children: dict[str, set[str]] = {}
    for span in ended:
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == TRACE
        assert span.parent is not None
        if span.kind is SpanKind.SERVER:
            assert f"{span.parent.span_id:016x}" == CALLER
        else:
            children.setdefault(by_id[span.parent.span_id].name, set()).add(span.name)
    return children


def server_span(spans: InMemorySpanExporter) -> ReadableSpan:
    [found] = [span for span in spans.get_finished_spans() if span.kind is SpanKind.SERVER]
    return found


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("path", STEPS)
def test_one_server_span_with_all_below_it(
    path: str, fast_path: bool, root_path: str, spans: InMemorySpanExporter
) -> None:
    """It is called after method and route; steps of the code are below it, and statements below the steps."""
    route, steps = STEPS[path]
    with site(api=api(), settings=ON, fast_path=fast_path) as root:
        assert ask(root, path, root_path=root_path, headers=CALLED).status == 200
    name = f"GET {root_path}{route}"
    assert server_span(spans).name == name
    assert tree(spans) == {name: steps, **{step: {"SELECT"} for step in steps}}


def test_what_the_span_tells(root_path: str, spans: InMemorySpanExporter) -> None:
    """The attributes are those of the semantic conventions. The query string is none of them."""
    with site(api=api(), settings=ON) as root:
        ask(root, "/api/companies/7", root_path=root_path, headers={"user-agent": "test"}, query_string=b"token=secret")
    [span] = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": f"{root_path}/api/companies/{{company_id}}",
        "url.path": f"{root_path}/api/companies/7",
        "url.scheme": "http",
        "server.address": "testserver",
        "user_agent.original": "test",
        "network.protocol.version": "1.1",
        "djfast_mount.owner": "api",
    }


@pytest.mark.parametrize("path", ["/api/broken", "/broken/"])
def test_an_error_is_recorded_once(path: str, spans: InMemorySpanExporter) -> None:
    """On the server span, with its kind, whichever half it comes from."""
    with site(settings=ON) as root:
        ask(root, path)
    span = server_span(spans)
    assert [event.name for event in span.events] == ["exception"]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ZeroDivisionError"


def test_statements_have_no_values(spans: InMemorySpanExporter) -> None:
    """Values that are written into a statement are left out."""
    with site(settings=ON) as root:
        ask(root, "/api/raw")
    texts = {
        str((span.attributes or {})["db.query.text"]) for span in spans.get_finished_spans() if span.name == "SELECT"
    }
    assert texts == {"SELECT ?, ?"}


def test_the_wait_for_a_thread_is_a_span(spans: InMemorySpanExporter) -> None:
    """With one thread, the second of two requests has a span for its wait, as long as the first one took."""

    async def main(root: Any) -> None:
        await asyncio.gather(*(call(root, http_scope("/api/slow", headers=CALLED)) for _ in range(2)))

    with site(settings=ON, threads=1) as root:
        asyncio.run(main(root))
    assert tree(spans) == {"GET /api/slow": {"wait for a thread"}}
    [wait] = [span for span in spans.get_finished_spans() if span.kind is SpanKind.INTERNAL]
    assert 0.1e9 < (wait.end_time or 0) - (wait.start_time or 0) < 5e9


def test_a_websocket_is_one_span(spans: InMemorySpanExporter) -> None:
    """From its opening to its end, with its statements below."""
    headers = [(name.encode(), value.encode()) for name, value in CALLED.items()]
    with site(settings=ON) as root:
        asyncio.run(connect(root, websocket_scope("/api/ws/hall", headers=[(b"host", b"testserver"), *headers]), "one"))
    assert tree(spans) == {"WS /api/ws/{room}": {"SELECT"}}


def test_requests_at_once_have_a_trace_each(spans: InMemorySpanExporter) -> None:
    """Statements on the threads of the pool are below the request that sent them."""

    async def main(root: Any) -> None:
        paths = ["/api/steps/sync/1", "/traced/", "/api/steps/gather"] * 5
        await asyncio.gather(*(call(root, http_scope(path)) for path in paths))

    with site(api=api(), settings=ON) as root:
        asyncio.run(main(root))
    of_trace: dict[int, list[ReadableSpan]] = {}
    for span in spans.get_finished_spans():
        assert span.context is not None
        of_trace.setdefault(span.context.trace_id, []).append(span)
    assert len(of_trace) == 15
    sizes = {"GET /api/steps/sync/{number}": 3, "GET /traced/": 3, "GET /api/steps/gather": 7}
    for found in of_trace.values():
        [server] = [span for span in found if span.kind is SpanKind.SERVER]
        assert sum(span.name != "wait for a thread" for span in found) == sizes[server.name]


def test_a_span_around_the_root_is_the_one(spans: InMemorySpanExporter) -> None:
    """A server span that is there already gets the name, and no other is begun."""
    tracer = trace.get_tracer("around")

    async def main(root: Any) -> None:
        with tracer.start_as_current_span("around", kind=SpanKind.SERVER):
            await call(root, http_scope("/api/hello"))

    with site(settings=ON) as root:
        asyncio.run(main(root))
    [span] = spans.get_finished_spans()
    assert (span.name, span.kind) == ("GET /api/hello", SpanKind.SERVER)


def test_a_request_in_the_process_has_its_own(spans: InMemorySpanExporter) -> None:
    """One that an endpoint makes to the same root is a server span below its own."""
    site_api = make_api()
    roots: list[Any] = []

    @site_api.get("/calls")
    async def calls() -> int:
        return (await call(roots[0], http_scope("/api/hello"))).status

    with site(api=site_api, settings=ON) as root:
        roots.append(root)
        assert ask(root, "/api/calls").json() == 200
    inner, outer = spans.get_finished_spans()
    assert (inner.name, outer.name) == ("GET /api/hello", "GET /api/calls")
    assert inner.parent is not None
    assert inner.parent == outer.context


def test_the_duration_is_measured(monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter) -> None:
    """As http.server.request.duration, for both halves, by route and status."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics_module, "_METER_PROVIDER", MeterProvider([reader], shutdown_on_exit=False))
    with site(settings=ON) as root:
        for path in ("/api/hello", "/plain/", "/plain/"):
            ask(root, path)
    data: Any = reader.get_metrics_data()
    [metric] = [
        metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.server.request.duration"
    ]
    assert {point.attributes["http.route"]: point.count for point in metric.data.data_points} == {
        "/api/hello": 1,
        "/plain/": 2,
    }


def test_without_a_provider_nothing_is_made() -> None:
    """With the option on and no SDK set up, requests are served as ever."""
    with site(settings=ON) as root:
        assert ask(root, "/api/sync/1").status == 200
        assert ask(root, "/view/1/").status == 200


@pytest.mark.once
@pytest.mark.parametrize("path", ["/api/steps/sync/3", "/api/steps/gather", "/traced/"])
def test_with_both_instrumentations_there_is_one_server_span(path: str, spans: InMemorySpanExporter) -> None:
    """What opentelemetry-instrumentation-fastapi and -django begin is internal, and below ours."""
    fastapi = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    django = pytest.importorskip("opentelemetry.instrumentation.django")
    route, steps = STEPS[path]
    traced = api()
    with override_settings(MIDDLEWARE=list(settings.MIDDLEWARE)):
        django.DjangoInstrumentor().instrument(tracer_provider=trace.get_tracer_provider())
        fastapi.FastAPIInstrumentor.instrument_app(traced, tracer_provider=trace.get_tracer_provider())
        try:
            with site(api=traced, settings=ON) as root:
                assert ask(root, path, headers=CALLED).status == 200
        finally:
            django.DjangoInstrumentor().uninstrument()
            fastapi.FastAPIInstrumentor.uninstrument_app(traced)
    assert server_span(spans).name == f"GET {route}"
    children = tree(spans)
    assert all(children[step] == {"SELECT"} for step in steps)
