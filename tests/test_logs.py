"""Logs of a process, all on its stdout: as JSON or as text."""

from __future__ import annotations

import io
import json
import logging
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev_site import Folder, environment
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.logs import JSONFormatter, log_to_stdout
from harness import Server

pytestmark = pytest.mark.long

API = """
import logging
from fastapi import FastAPI
api = FastAPI()
@api.get("/word")
def word() -> str:
    logging.getLogger("pages").info("asked %s", "well", extra={"words": 1, "odd": {1}})
    return "first"
@api.get("/broken")
def broken() -> str:
    raise RuntimeError("as planned")
"""
LOCAL = """
import os
from mysite.settings import *
from djfast_mount.logs import log_to_stdout
DEBUG = False
LOGGING = log_to_stdout(os.environ["LOG_FORMAT"])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("pages/api.py", API)
    folder.write("mysite/local.py", LOCAL)
    return folder


def log_of(folder: Folder, form: str, root_path: str) -> list[str]:
    """What a server writes that was asked three times, from its first line to its last."""
    options = ("--root-path", root_path) if root_path else ()
    env = {"DJANGO_SETTINGS_MODULE": "mysite.local", "LOG_FORMAT": form, "TEST_DEBUG": "0"}
    with Server("mysite.asgi:app", *options, env=env, folder=folder.path) as server:
        with server.client() as client:
            assert client.get("/api/word").json() == "first"
            assert client.get("/api/broken").status_code == 500
            assert client.get("/nothing").status_code == 404
        server.stop()
        return server.log.splitlines()


def test_every_line_is_json(folder: Folder, root_path: str) -> None:
    """The server's lines, the access log, Django's and the project's own are objects with time, level and logger."""
    records: list[dict[str, Any]] = [json.loads(line) for line in log_of(folder, "json", root_path)]
    assert all({"time", "level", "logger", "message"} <= set(record) for record in records)
    by_logger: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_logger.setdefault(record["logger"], []).append(record)
    assert {"uvicorn.error", "uvicorn.access", "pages", "django.request"} <= set(by_logger)
    [own] = by_logger["pages"]
    assert (own["message"], own["level"], own["words"], own["odd"]) == ("asked well", "INFO", 1, "{1}")
    access = by_logger["uvicorn.access"][0]
    assert (access["method"], access["path"], access["status"]) == ("GET", f"{root_path}/api/word", 200)
    assert any("RuntimeError: as planned" in record.get("traceback", "") for record in records)


def test_text_is_for_people(folder: Folder) -> None:
    """Each line has time, level and logger before what it says."""
    log = "\n".join(log_of(folder, "text", ""))
    assert "INFO     pages: asked well" in log
    assert '"GET /api/word HTTP/1.1" 200' in log
    assert "RuntimeError: as planned" in log


def test_nothing_goes_to_stderr(folder: Folder) -> None:
    """Commands log where servers do."""
    code = "import django, logging; django.setup(); logging.getLogger('django.request').error('well')"
    env = environment({"DJANGO_SETTINGS_MODULE": "mysite.local", "LOG_FORMAT": "json"})
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder.path, env=env, capture_output=True, text=True, check=True
    )
    assert (json.loads(done.stdout)["message"], done.stderr) == ("well", "")


def test_a_line_stays_one() -> None:
    """What a client sends cannot begin a line of its own."""
    record = logging.makeLogRecord({"name": "pages", "msg": 'one\ntwo "three"', "levelname": "INFO"})
    [line] = JSONFormatter().format(record).splitlines()
    assert json.loads(line)["message"] == 'one\ntwo "three"'


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no")


class Closed(dict[str, int]):
    def items(self) -> Any:
        raise KeyError("closed")


def cycle() -> dict[str, Any]:
    mine: dict[str, Any] = {"a": 1}
    mine["me"] = [mine]
    return mine


def deep() -> list[Any]:
    nest: list[Any] = []
    # From Python 3.14 on, json goes as deep as the stack does.
    for _ in range(200_000):
        nest = [nest]
    return nest


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def written(message: object, *args: object, **extra: Any) -> dict[str, Any]:
    """What a handler writes of a record, read as a strict parser reads it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    own = logging.Logger("own")  # noqa: LOG001  (one that no other test meets)
    own.addHandler(handler)
    own.info(message, *args, extra=extra)
    [line] = stream.getvalue().splitlines()
    line.encode("ascii")
    found: dict[str, Any] = json.loads(line, parse_constant=refuse)
    json.dumps(found, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    return found


ODD: list[tuple[Any, Any]] = [
    ({(1, 2): 3}, {"(1, 2)": 3}),
    (cycle(), {"a": 1, "me": ["..."]}),
    (math.nan, "nan"),
    ([math.inf, {"x": -math.inf}], ["inf", {"x": "-inf"}]),
    ({math.nan: 1.5}, {"nan": 1.5}),
    (Unprintable(), "<Unprintable, whose str() raised ValueError>"),
    ([Unprintable()], ["<Unprintable, whose str() raised ValueError>"]),
    (Closed(a=1), "{'a': 1}"),
    (10**5000, "<int, whose str() raised ValueError>"),
    ("half \ud83d of a pair", "half \ufffd of a pair"),
    ("whole \U0001f600", "whole \U0001f600"),
    (b"bytes", "b'bytes'"),
]


@pytest.mark.parametrize(("value", "told"), ODD, ids=map(str, range(len(ODD))))
def test_no_record_is_lost(value: object, told: object, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever `extra` holds, the line is there, strict parsers read it, and logging has no error to print."""
    assert written("told", odd=value)["odd"] == told
    assert capfd.readouterr() == ("", "")


def test_no_depth_is_too_deep(capfd: pytest.CaptureFixture[str]) -> None:
    """Of a value nested deeper than Python's own limit the outer part is written."""
    assert written("told", odd=deep())["odd"] == json.loads("[" * 20 + '"..."' + "]" * 20)
    assert capfd.readouterr().err == ""


def test_arguments_that_do_not_fit_are_written(capfd: pytest.CaptureFixture[str]) -> None:
    """A message that cannot be formatted is written with its arguments behind it."""
    assert written("%d rows", "many")["message"] == "%d rows ('many',)"
    assert capfd.readouterr().err == ""


def test_a_key_that_is_ours_is_kept() -> None:
    """A key of `extra` that bears the name of a field is below `extra`, and the field is the record's."""
    record = written("told", time=1, level="high", traceback="none", extra=2)
    assert record["extra"] == {"time": 1, "level": "high", "extra": 2}
    assert (record["level"], record["traceback"]) == ("INFO", "none")
    assert written("told", extra=2)["extra"] == 2


def test_a_traceback_of_another_process_is_kept() -> None:
    """A record that came over a socket or a queue has its traceback as text."""
    record = logging.makeLogRecord({"msg": "told", "exc_text": "Traceback: as planned"})
    assert json.loads(JSONFormatter().format(record))["traceback"] == "Traceback: as planned"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(st.characters())
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.tuples(scalars) | st.text() | st.floats(), inner)
)


@given(values)
def test_any_value_is_written_as_json(value: Any) -> None:
    """Whatever is nested in whatever, the line is what a strict parser takes."""
    assert "odd" in written("told", odd=value)


def test_another_format_is_refused() -> None:
    """A word that is neither is told with those that are."""
    with pytest.raises(ConfigurationError, match="Give 'json' or 'text'"):
        log_to_stdout("yaml")
