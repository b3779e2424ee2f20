"""Listeners: who is told of a request that has ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from djfast_mount.telemetry import RequestRecord, current_record, subscribe
from djfast_mount.telemetry.listeners import publish

pytestmark = pytest.mark.once

RECORD = RequestRecord("http", "GET", 0.0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_listener_is_told_once_and_no_more_once_it_is_taken_out(stack: ExitStack) -> None:
    """Subscribing twice is subscribing once; the returned function ends it."""
    told: list[RequestRecord] = []
    unsubscribe = subscribe(told.append)
    stack.callback(subscribe(told.append))
    publish(RECORD)
    assert told == [RECORD]
    unsubscribe()
    publish(RECORD)
    assert told == [RECORD]


def test_a_listener_that_raises_troubles_nobody(stack: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged, and the next listener is told all the same."""
    told: list[RequestRecord] = []

    def fail(record: RequestRecord) -> None:
        raise ValueError("no place left")

    stack.callback(subscribe(fail))
    stack.callback(subscribe(told.append))
    with caplog.at_level(logging.ERROR, "djfast_mount.telemetry"):
        publish(RECORD)
    assert told == [RECORD]
    assert "no place left" in caplog.text


def test_outside_of_a_request_there_is_no_record() -> None:
    """`current_record()` returns None."""
    assert current_record() is None
