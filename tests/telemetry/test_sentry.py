"""Sentry, with its real client and a transport that collects: with its integrations, and without.

Holds `telemetry/watchers.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.middleware import auser, get_user
from django.http import HttpRequest

from calls import http_scope, nothing_to_receive
from djfast_mount.telemetry.observed_request import ObservedRequest
from djfast_mount.telemetry.watchers import Watching
from harness import PYTHONPATH, TESTS

pytest.importorskip("sentry_sdk")

from djfast_mount.telemetry.sentry import user_of

pytestmark = [pytest.mark.once, pytest.mark.long]


@pytest.fixture(scope="module", params=["integrations", "none"])
def sent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process has sent, by what was asked of it."""
    env = {
        **os.environ,
        "PYTHONPATH": PYTHONPATH,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('sentry')}/db.sqlite3",
    }
    command = [sys.executable, str(Path(TESTS) / "support" / "sentry_run.py"), request.param]
    done = subprocess.run(command, cwd=TESTS, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "failed. The request goes on" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def test_one_transaction_called_after_its_route(sent: dict[str, Any]) -> None:
    """With the prefix, on either half, and never after a path that no route has."""
    names = {name: [(event["type"], event["transaction"]) for event in sent[name]] for name in ("api", "site", "none")}
    assert names == {
        "api": [("transaction", "/api/companies/{company_id}")],
        "site": [("transaction", "/plain/")],
        "none": [("transaction", "GET (no route)")],
    }
    assert [sent[name][0]["transaction_info"]["source"] for name in ("api", "site")] == ["route", "route"]


def test_an_error_is_sent_once_with_the_right_request(sent: dict[str, Any]) -> None:
    """Twelve errors of both halves at once: each once, with its own name, user, id and URL; and no more of the user."""
    found = of_kind(sent["failures"], "event")
    assert len(found) == 12
    for event in found:
        [error] = event["exception"]["values"][-1:]
        number = int(error["value"][-1])
        half = "/api/fails/{number}" if "API" in error["value"] else "/fails/<int:number>/"
        url = f"http://testserver{'/api' if 'API' in error['value'] else ''}/fails/{number}"
        assert error["type"] == "ValueError"
        assert event["transaction"] == half
        assert event["user"]["id"] == str(number + 1)
        assert not {"username", "email"} & event["user"].keys()
        assert event["tags"]["request_id"] == f"request-{number}"
        assert event["request"]["url"].rstrip("/") == url
    assert len({event["exception"]["values"][-1]["value"] for event in found}) == 12


def test_a_transaction_has_the_user(sent: dict[str, Any]) -> None:
    """Whom the request has looked up, on either half."""
    found = of_kind(sent["failures"], "transaction")
    users = sorted((event["transaction"], event["user"]["id"]) for event in found)
    assert users == sorted(
        (name, str(number)) for name in ("/api/fails/{number}", "/fails/<int:number>/") for number in range(1, 7)
    )


def test_the_body_of_an_error_has_the_id_of_its_event(sent: dict[str, Any]) -> None:
    """Where that was chosen, what the client shows leads to the very event."""
    ids = {event["event_id"]: event["exception"]["values"][-1]["value"] for event in of_kind(sent["failures"], "event")}
    bodies = [json.loads(body) for body in sent["bodies"][::2]]
    assert [ids[body["event_id"]] for body in bodies] == [f"the API's {number}" for number in range(6)]


def test_a_trace_goes_on(sent: dict[str, Any]) -> None:
    """From the caller's header through the transaction into the headers of an outgoing request."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    [transaction] = sent["continued"]
    assert transaction["contexts"]["trace"]["trace_id"] == trace
    assert sent["outgoing"]["sentry-trace"].startswith(trace)
    assert trace in sent["outgoing"]["baggage"]


def test_a_statement_is_one_span(sent: dict[str, Any]) -> None:
    """By Sentry's own integration, or by ours where it is not there; never by both."""
    [transaction] = sent["statements"]
    found = [span["description"] for span in transaction["spans"] if "auth_user" in str(span.get("description"))]
    assert len(found) == 1


class Session(dict[str, Any]):
    """A session without anybody in it, which needs no database."""

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.get(key, default)


@pytest.mark.parametrize("name", ["_cached_user", "_acached_user"])
def test_django_keeps_the_user_where_we_look(name: str) -> None:
    """A request on which the user was looked up, by sync or async code, has it under that name."""
    request = HttpRequest()
    vars(request)["session"] = Session()
    found = get_user(request) if name == "_cached_user" else asyncio.run(auser(request))
    assert vars(request)[name] is found


def test_without_these_names_nobody_is_told() -> None:
    """Where Django keeps the user elsewhere, an event has no user, and is sent all the same."""
    observed = ObservedRequest(Watching(10), http_scope("/"), nothing_to_receive)  # type: ignore[arg-type]
    observed.request = HttpRequest()
    assert user_of(observed) is None
