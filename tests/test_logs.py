"""Logs of a process, all on its stdout: as JSON or as text."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dev_site import Folder, environment
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.logs import JSONFormatter, log_to_stdout
from harness import Server

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


def test_another_format_is_refused() -> None:
    """A word that is neither is told with those that are."""
    with pytest.raises(ConfigurationError, match="Give 'json' or 'text'"):
        log_to_stdout("yaml")
