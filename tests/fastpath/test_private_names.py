"""The names that are not public: all are there, and without any of them the start goes on and FastAPI serves."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import logging
from typing import Any

import fastapi.dependencies.models
import fastapi.routing
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from calls import request
from djfast_mount import mount
from djfast_mount.fastpath import front, plan, private_names

NAMES = [(module, name) for module, names in private_names._NAMES.items() for name in names]


def test_all_names_are_there_and_as_they_are_known() -> None:
    """The packages that are installed have every name, of the shape that is counted on."""
    assert private_names.unknown is None


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_name_that_is_gone_is_told(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a name is gone, that is what is not known of FastAPI."""
    monkeypatch.delattr(importlib.import_module(module), name)
    assert private_names.look_up()[1] == f"{module}.{name} is gone"


def with_one_more(function: Any) -> Any:
    """Returns `function` as a release has it that gives it one parameter more, and hands it over itself."""

    @functools.wraps(function)
    def changed(*args: Any, one_more: object, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    more = inspect.Parameter("one_more", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*signature.parameters.values(), more]
    parameters.sort(key=lambda parameter: parameter.kind)
    changed.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return changed


CALLED = [(module, name) for module, name in NAMES if name in private_names._PARAMETERS]


def test_the_parameters_of_all_functions_are_known() -> None:
    """Every function that is looked up, and not only compared or patched, is held to its parameters."""
    compared = {"request_response", "get_request_handler", "get_tracer_provider", "get_meter_provider"}
    found = {name for module, name in NAMES if inspect.isfunction(vars(importlib.import_module(module))[name])}
    assert found - compared - {"get_logger_provider"} == set(private_names._PARAMETERS)


@pytest.mark.parametrize(("module", "name"), CALLED)
def test_a_parameter_more_is_told(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a function takes something else than it did, that is what is not known of FastAPI."""
    place = importlib.import_module(module)
    monkeypatch.setattr(place, name, with_one_more(getattr(place, name)))
    unknown = private_names.look_up()[1]
    assert unknown is not None
    assert f"{name}() takes (" in unknown
    assert "one_more" in unknown


@dataclasses.dataclass(slots=True)
class WithMore(fastapi.dependencies.models.Dependant):
    more: int = 0


def other_request_response(function: Any) -> Any:
    return function


CHANGES = {
    "a field more": (fastapi.dependencies.models, "Dependant", WithMore),
    "another request_response": (fastapi.routing, "request_response", other_request_response),
    "another get_request_handler": (fastapi.routing, "get_request_handler", lambda dependant: dependant),
    "another _extract_endpoint_context": (
        fastapi.routing,
        "_extract_endpoint_context",
        with_one_more(fastapi.routing._extract_endpoint_context),
    ),
    "another solve_dependencies": (fastapi.dependencies.utils, "solve_dependencies", lambda request: request),
    "no _type_adapter": (fastapi._compat.ModelField, "__post_init__", lambda self: None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fastapi_that_is_not_known_serves_itself(
    change: str, root_path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a FastAPI that differs the start goes on, one line in the log says so, and its routes answer."""
    api = FastAPI()

    @api.get("/number/{number}")
    async def read(number: int) -> int:
        return number

    with monkeypatch.context() as patch:
        patch.setattr(*CHANGES[change])
        unknown = private_names.look_up()[1]
    assert unknown is not None
    for module in (front, plan):
        monkeypatch.setattr(module, "unknown", unknown)
    root = mount("/api", api)
    lines = [record.getMessage() for record in caplog.records if record.name == "djfast_mount"]
    assert [unknown in line for line in lines if "not known" in line] == [True]
    assert request(root, root_path + "/api/number/3", root_path=root_path).json() == 3
    assert api.router.middleware_stack == api.router.app


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def same_json(raw: bytes) -> None:
    try:
        value = from_json(raw)
    except ValueError:
        return
    assert repr(value) == repr(json.loads(raw))


@settings(max_examples=300, deadline=None)
@given(JSON, st.booleans(), st.integers(0, 60), st.binary(max_size=2))
def test_json_is_read_as_json_loads_reads_it(value: Any, ascii_only: bool, place: int, put: bytes) -> None:
    """Where pydantic's parser reads a text, whole or broken, it reads what json.loads() reads."""
    raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    same_json(raw)
    same_json(raw[:place] + put + raw[place:])


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 2}',
        b"NaN",
        b"-Infinity",
        b"-0.0",
        b"-0",
        b"1e400",
        b"1" * 4300,
        b"1" * 4301,
        b"01",
        b"[1,]",
        b" 1 ",
    ],
)
def test_odd_json_is_read_as_json_loads_reads_it(raw: bytes) -> None:
    """Keys that come twice, numbers without a value, of any length, and what is none: as json.loads() has them."""
    same_json(raw)


def test_a_log_line_is_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The line is a warning: the default logging shows it."""
    monkeypatch.setattr(front, "unknown", "a name is gone")
    front.tell_if_unknown()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_route_does_not_fail_for_want_of_a_plan(
    root_path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where making a plan fails, the log has the fault and FastAPI answers."""

    def write(facts: object) -> None:
        raise LookupError("a fault in the making")

    monkeypatch.setattr(plan, "write", write)
    api = FastAPI()

    @api.get("/number/{number}")
    async def read(number: int) -> int:
        return number

    root = mount("/api", api)
    for number in (3, 4):
        assert request(root, f"{root_path}/api/number/{number}", root_path=root_path).json() == number
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]
