"""The names of other packages that are not public and that a plan is made from. Nothing else here uses such names.

    fastapi.routing               request_response, get_request_handler: the code and cells of their inner functions;
                                  run_endpoint_function, serialize_response, solve_dependencies, run_in_threadpool: the
                                  globals that the handler looks up; _extract_endpoint_context, _IncludedRouter,
                                  _EffectiveRouteContext, APIRouter._routes_version, ._low_priority_routes; the keys of
                                  what it puts into a scope: _FASTAPI_SCOPE_KEY, _FASTAPI_INCLUDED_ROUTER_KEY,
                                  _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY
    fastapi.dependencies.models   Dependant and its fields, _get_cache_key, _get_oauth_scopes, _is_coroutine_callable,
                                  _is_gen_callable, _is_async_gen_callable
    fastapi.dependencies.utils    solve_dependencies and its _uses_scopes_cache, request_params_to_args,
                                  request_body_to_args, _solve_generator, contextmanager_in_threadpool,
                                  _validate_value_with_model_field,
                                  _get_param_aliases, _get_param_model, _request_param_model_to_args, _is_json_field,
                                  _should_embed_body_fields, _get_form_models
    fastapi._compat               Undefined, shared.field_annotation_is_sequence; ModelField._type_adapter
    fastapi.applications          FastAPI._telemetry, ._native_telemetry
    fastapi.telemetry._api        get_telemetry_data
    starlette                     _exception_handler.wrap_app_handling_exceptions, _utils.get_route_path,
                                  requests.cookie_parser, Request._body, ._json, ._stream_consumed,
                                  ExceptionMiddleware._exception_handlers, ._status_handlers,
                                  body_limit.MAX_BODY_SIZE_SCOPE_KEY
    opentelemetry                 trace._TRACER_PROVIDER, metrics._internal._METER_PROVIDER,
                                  _logs._internal._LOGGER_PROVIDER, context._RUNTIME_CONTEXT._current_context

All are looked up here, by name, so that one that has moved costs the plans and not the start.
"""

from __future__ import annotations

import contextvars
import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

__all__ = ["look_up", "private", "unknown"]

_NAMES = {
    "fastapi.routing": (
        *("request_response", "get_request_handler", "run_endpoint_function", "serialize_response"),
        *("run_in_threadpool", "_extract_endpoint_context", "_IncludedRouter", "_EffectiveRouteContext"),
        *("_FASTAPI_SCOPE_KEY", "_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY", "_FASTAPI_INCLUDED_ROUTER_KEY"),
    ),
    "fastapi.dependencies.models": (
        *("Dependant", "_get_cache_key", "_get_oauth_scopes"),
        *("_is_coroutine_callable", "_is_gen_callable", "_is_async_gen_callable"),
    ),
    "fastapi.dependencies.utils": (
        *("solve_dependencies", "_solve_generator", "_get_param_aliases", "_get_param_model"),
        *("request_params_to_args", "request_body_to_args", "_validate_value_with_model_field"),
        "contextmanager_in_threadpool",
        *("_request_param_model_to_args", "_is_json_field", "_should_embed_body_fields", "_get_form_models"),
    ),
    "fastapi._compat": ("Undefined", "ModelField"),
    "fastapi._compat.shared": ("field_annotation_is_sequence",),
    "fastapi.telemetry._api": ("get_telemetry_data",),
    "fastapi.telemetry._asgi": ("ExceptionTelemetryMiddleware",),
    "fastapi.middleware.asyncexitstack": ("AsyncExitStackMiddleware",),
    "fastapi._body_limit": ("AppBodyLimitMiddleware",),
    "starlette._exception_handler": ("wrap_app_handling_exceptions",),
    "starlette._utils": ("get_route_path",),
    "starlette.requests": ("cookie_parser",),
    "starlette.middleware.body_limit": ("MAX_BODY_SIZE_SCOPE_KEY",),
    "opentelemetry.trace": ("_TRACER_PROVIDER", "get_tracer_provider"),
    "opentelemetry.metrics._internal": ("_METER_PROVIDER", "get_meter_provider"),
    "opentelemetry._logs._internal": ("_LOGGER_PROVIDER", "get_logger_provider"),
    "opentelemetry.context": ("_RUNTIME_CONTEXT",),
}
# A field more may mean what no plan does.
_FIELDS_OF_A_DEPENDANT = {
    *("path_params", "query_params", "header_params", "cookie_params", "body_params", "dependencies", "name", "call"),
    *("request_param_name", "websocket_param_name", "http_connection_param_name", "response_param_name"),
    *("background_tasks_param_name", "security_scopes_param_name", "own_oauth_scopes", "parent_oauth_scopes"),
    *("use_cache", "path", "scope", "concurrency"),
}
_CELLS_OF_A_HANDLER = {
    *("actual_response_class", "actual_strict_content_type", "body_field", "dependant"),
    *("dependency_overrides_provider", "embed_body_fields", "form_limits", "is_body_form", "is_coroutine"),
    *("is_json_stream", "is_sse_stream", "response_class", "response_field", "response_model_by_alias"),
    *("response_model_exclude", "response_model_exclude_defaults", "response_model_exclude_none"),
    *("response_model_exclude_unset", "response_model_include", "status_code", "stream_item_field"),
}
# How each is called by a plan. One parameter more may mean what no plan does; one that is called otherwise is an error
# in a request, and not at the start.
_PARAMETERS = {
    "run_endpoint_function": "(*, dependant, values, is_coroutine)",
    "serialize_response": (
        "(*, field=None, response_content, include=None, exclude=None, by_alias=True, exclude_unset=False, "
        "exclude_defaults=False, exclude_none=False, is_coroutine=True, endpoint_ctx=None, dump_json=False)"
    ),
    "run_in_threadpool": "(func, *args, **kwargs)",
    "_extract_endpoint_context": "(func)",
    "_get_cache_key": "(*, dependant, uses_scopes_cache=None)",
    "_get_oauth_scopes": "(*, dependant)",
    "_is_coroutine_callable": "(call)",
    "_is_gen_callable": "(call)",
    "_is_async_gen_callable": "(call)",
    "solve_dependencies": (
        "(*, request, dependant, body=PydanticUndefined, background_tasks=None, response=None, "
        "dependency_overrides_provider=None, dependency_cache=None, async_exit_stack, embed_body_fields, "
        "_uses_scopes_cache=None)"
    ),
    "contextmanager_in_threadpool": "(cm)",
    "_solve_generator": "(*, dependant, stack, sub_values, request)",
    "_get_param_aliases": "(field, *, convert_underscores=False)",
    "_get_param_model": "(field)",
    "request_params_to_args": "(fields, received_params)",
    "request_body_to_args": "(body_fields, received_body, embed_body_fields)",
    "_validate_value_with_model_field": "(*, field, value, values, loc)",
    "_request_param_model_to_args": "(model_field, model, received_params)",
    "_is_json_field": "(field)",
    "_should_embed_body_fields": "(fields)",
    "_get_form_models": "(field)",
    "field_annotation_is_sequence": "(annotation)",
    "get_telemetry_data": "(context=None)",
    "wrap_app_handling_exceptions": "(app, conn)",
    "get_route_path": "(scope)",
    "cookie_parser": "(cookie_string)",
}
_OF_A_ROUTER = {"_routes_version", "_low_priority_routes"}
_NOT_AWAITED = "Response not awaited."


def look_up() -> tuple[Any, str | None]:
    """Returns a namespace with all of the names, and what of them is not as it is known here; None where all is."""
    found, missing = SimpleNamespace(), []
    for module_name, names in _NAMES.items():
        try:
            module = vars(importlib.import_module(module_name))
        except ImportError:
            module = {}
        for name in names:
            if name in module:
                setattr(found, name, module[name])
            else:
                missing.append(f"{module_name}.{name}")
    if missing:
        return found, f"{', '.join(missing)} is gone"
    try:
        return found, next(_differences(found), None)
    except Exception as error:
        return found, f"it cannot be examined: {error!r}"


def _differences(found: Any) -> Iterator[str]:
    """Notes in `found` what stands inside of the names, and yields what is not as it is known."""
    found.serving = _inner(found.request_response, "app")
    found.handling = _inner(found.get_request_handler, "app")
    if found.serving is None or set(found.serving.co_freevars) != {"f"}:
        yield "request_response() of fastapi.routing is another"
    if found.handling is None or set(found.handling.co_freevars) != _CELLS_OF_A_HANDLER:
        yield "get_request_handler() of fastapi.routing is another"
    found.not_awaited = _text_in(found.serving, _NOT_AWAITED)
    if found.not_awaited is None:
        yield "request_response() of fastapi.routing says nothing of a response that was not awaited"
    if {field.name for field in dataclasses.fields(found.Dependant)} != _FIELDS_OF_A_DEPENDANT:
        yield "Dependant has other fields"
    for name, known in _PARAMETERS.items():
        if (parameters := _parameters(getattr(found, name))) != known:
            yield f"{name}() takes {parameters} and not {known}"
    yield from _differences_of_objects(found)


def _differences_of_objects(found: Any) -> Iterator[str]:
    api = FastAPI(openapi_url=None)
    if not {"_telemetry", "_native_telemetry"} <= vars(api).keys() or not vars(api.router).keys() >= _OF_A_ROUTER:
        yield "FastAPI() has no _telemetry, or its router no list of routes by version and priority"

    @api.get("/")
    def endpoint(number: int) -> int:
        return number

    (field,) = vars(api.routes[-1])["dependant"].query_params
    adapter = vars(field).get("_type_adapter")
    if not (hasattr(adapter, "validator") and hasattr(adapter, "serializer") and hasattr(adapter, "core_schema")):
        yield "ModelField has no _type_adapter"
    if "_stream_consumed" not in vars(Request({"type": "http"})) or not _reads_privates(Request):
        yield "Request keeps its body in another way"
    found.otel_context = getattr(found._RUNTIME_CONTEXT, "_current_context", None)
    if not isinstance(found.otel_context, contextvars.ContextVar):
        yield "OpenTelemetry keeps its context in another way"


def _reads_privates(request: type[Request[Any]]) -> bool:
    """Whether `body()` and `json()` keep what they have read under the names that a plan fills."""
    return "_body" in request.body.__code__.co_names and "_json" in request.json.__code__.co_names


def _parameters(function: Any) -> str:
    """Returns what `function` takes, without annotations."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def _inner(function: Any, name: str) -> CodeType | None:
    """Returns the code of the function called `name` that `function`, one of FastAPI's own, makes."""
    if type(function) is not FunctionType or function.__module__ != "fastapi.routing":
        return None
    codes = (const for const in function.__code__.co_consts if isinstance(const, CodeType))
    return next((code for code in codes if code.co_name == name), None)


def _text_in(code: CodeType | None, beginning: str) -> str | None:
    """Returns the text in `code`, or in what is nested in it, that begins so."""
    for const in () if code is None else code.co_consts:
        if isinstance(const, str) and const.startswith(beginning):
            return const
        if isinstance(const, CodeType) and (found := _text_in(const, beginning)) is not None:
            return found
    return None


private, unknown = look_up()
"""The names; and what of FastAPI is not as it is known here, in words for a log, or None. Where it is not None, there
are no plans."""
