"""The proxy of the soak does what it says. Else the soak would show that all is well without a fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from faulty_proxy import DELAY, FaultyProxy, Kind


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(postgres_url) as proxy:
        yield proxy


@pytest.mark.parametrize("kind", ["drop", "reset", "black hole"])
def test_a_connection_does_not_outlive_the_fault(proxy: FaultyProxy, kind: Kind) -> None:
    """A connection that was open fails after it, and a new one works."""
    with psycopg.connect(proxy.url, autocommit=True) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        proxy.inject(kind, 0.2)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    with psycopg.connect(proxy.url, autocommit=True) as connection:
        assert connection.execute("select 2").fetchone() == (2,)


def test_a_black_hole_answers_nothing(proxy: FaultyProxy) -> None:
    """A statement that is sent into it waits until its end, and never reaches PostgreSQL."""
    with psycopg.connect(proxy.url, autocommit=True) as connection:
        connection.execute("create table swallowed ()")
        fault = threading.Thread(target=proxy.inject, args=("black hole", 1.0))
        fault.start()
        time.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("insert into swallowed default values")
        assert time.monotonic() - began > 0.5
        fault.join()
    with psycopg.connect(proxy.url) as connection:
        assert connection.execute("select count(*) from swallowed").fetchone() == (0,)


def test_a_delay_loses_nothing(proxy: FaultyProxy) -> None:
    """A statement takes longer, on a connection that stays."""
    with psycopg.connect(proxy.url, autocommit=True) as connection:
        fault = threading.Thread(target=proxy.inject, args=("delay", 1.0))
        fault.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert connection.execute("select 1").fetchone() == (1,)
        assert time.monotonic() - began >= 2 * DELAY
        fault.join()
        assert connection.execute("select 1").fetchone() == (1,)
