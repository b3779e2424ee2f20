"""The comparison of the ways of reading notices what somebody might do wrong in them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError, connection, reset_queries, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from schemas.comparing import compare, expected_of
from schemas.generated import schemas
from schemas.generated_querysets import Asked, querysets
from schemas.planted import OF_THE_CHOICE, OF_THE_DATABASE, OF_THE_INSTANCES, OF_THE_PLAN, planted

pytestmark = [pytest.mark.long, pytest.mark.django_db(databases=["default", "other"])]

SCHEMAS = 600
Case = tuple[Any, Asked, bytes]
ERRORS = (
    *(
        ArithmeticError,
        AssertionError,
        AttributeError,
        DatabaseError,
        EmptyResultSet,
        LookupError,
        TypeError,
        ValueError,
    ),
)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Any, Asked]]:
    """Schemas with querysets, the same in each run."""
    found: list[list[tuple[Any, Asked]]] = []

    # What Hypothesis draws first is the simplest that there is, and from the second on it changes what it has drawn:
    # many of one run would be alike.
    @settings(
        max_examples=2, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data(), schema=schemas())
    def draw(data: st.DataObject, schema: Any) -> None:
        several = st.lists(querysets(schema, ("default", "default", "other")), min_size=1, max_size=3)
        found.append([(schema, make) for make in data.draw(several)])

    last = []
    for number in range(SCHEMAS):
        seed(number)(draw)()
        last += found[-1]
    return last


def cases(drawn: list[tuple[Any, Asked]]) -> list[Case]:
    """What rows are that are asked one by one, whatever is wrong in the ways of reading."""
    known = ((schema, make, expected_of(schema, make)) for schema, make in drawn)
    return [(schema, make, expected) for schema, make, expected in known if expected is not None]


def notices(schema: Any, make: Asked, expected: bytes) -> bool:
    """Whether the comparison fails, as a test would: by a difference, or by any error."""
    reset_queries()
    try:
        with transaction.atomic(), transaction.atomic(using="other"):
            compare(schema, make, expected)
    except ERRORS:
        return True
    return False


def test_each_fault_is_noticed(firms: None, drawn: list[tuple[Any, Asked]]) -> None:
    """For each fault there is a case in which it shows; without one there is none."""
    known = cases(drawn)
    for case in known:
        reset_queries()
        compare(*case)
    unseen = []
    of_the_database = OF_THE_DATABASE if connection.vendor == "postgresql" else []
    for fault in [*OF_THE_PLAN, *OF_THE_CHOICE, *OF_THE_INSTANCES, *of_the_database]:
        with planted(fault):
            if not any(notices(*case) for case in known):
                unseen.append(fault.what)
    assert not unseen
