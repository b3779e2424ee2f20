"""The code in docs/telemetry.md, run."""

from __future__ import annotations

import logging
import logging.config
import re
from dataclasses import fields
from typing import Any

import httpx
import pytest

from calls import ask
from djfast_mount.conf import OPTIONS, wrong_value
from djfast_mount.telemetry import RequestRecord
from harness import TESTS
from telemetry_site import make_api, site

pytestmark = pytest.mark.once

PAGE = (TESTS.parent / "docs" / "telemetry.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def block(word: str) -> str:
    [found] = [each for each in BLOCKS if word in each]
    return str(found)


def test_each_setting_of_the_page_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every dict of settings that the page shows holds options, with values that they may have."""
    for name in ("METRICS_TOKEN", "SENTRY_DSN"):
        monkeypatch.setenv(name, "0123456789abcdef")
    shown = [re.search(r"DJFAST_MOUNT = \{.*?\}", each, re.DOTALL) for each in BLOCKS]
    dicts: list[Any] = []
    for found in filter(None, shown):
        names: dict[str, Any] = {}
        exec(f"import os\n{found[0]}", names)
        dicts.append(names["DJFAST_MOUNT"])
    assert len(dicts) >= 5
    for options in dicts:
        assert options["telemetry"] is True
        assert {key: wrong_value(key, value) for key, value in options.items()} == dict.fromkeys(options)
    assert set().union(*dicts) <= OPTIONS.keys()


def test_the_listener_of_the_page_hears(capsys: pytest.CaptureFixture[str]) -> None:
    """It is called with the record of a request, and prints those that took long."""
    names: dict[str, Any] = {}
    exec(block("def listen").replace("duration > 1", "duration > 0"), names)
    try:
        with site() as root:
            assert ask(root, "/api/hello").status == 200
    finally:
        names["unsubscribe"]()
    assert capsys.readouterr().out.startswith("GET /api/hello 200 0.")


def test_the_table_has_every_attribute() -> None:
    """The page explains each field of a record, and no other."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE.partition("## Statements")[0], re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == {field.name for field in fields(RequestRecord)}


def test_the_logging_of_the_page_writes_the_id(capsys: pytest.CaptureFixture[str]) -> None:
    """Its filter and formatter are accepted by Python's logging, and the id of the request is in the line."""
    names: dict[str, Any] = {}
    exec(block("LOGGING"), names)
    settings = names["LOGGING"]
    # The root's handlers are pytest's.
    settings["loggers"] = {"project": settings.pop("root")}
    api = make_api()

    @api.get("/log")
    def log() -> str:
        logging.getLogger("project").warning("said")
        return "logged"

    try:
        logging.config.dictConfig(settings)
        with site(api=api) as root:
            ask(root, "/api/log", headers={"x-request-id": "id-of-a-request"})
    finally:
        logging.getLogger("project").handlers.clear()
    assert "WARNING id-of-a-request project: said" in capsys.readouterr().err


def test_the_id_goes_out_as_the_page_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request of the example carries the id of the one that makes it."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "get", client.get)
    api = make_api()

    @api.get("/stock")
    def stock() -> str:
        exec(block("httpx.get"), {"httpx": httpx})
        return "asked"

    with site(api=api) as root:
        assert ask(root, "/api/stock", headers={"x-request-id": "id-of-a-request"}).status == 200
    assert [request.headers["x-request-id"] for request in sent] == ["id-of-a-request"]
