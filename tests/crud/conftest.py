"""The resources of these tests, served by `mount()` at the root of a host and under an outer prefix."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest


@cache
def _companies(asynchronous: bool) -> Any:
    # Models cannot be imported before the settings are there.
    from crud.resources import companies  # noqa: PLC0415
    from crud.serving import served  # noqa: PLC0415

    return served(companies(asynchronous=asynchronous))


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def api(db: None, asynchronous: bool, root_path: str) -> Iterator[Any]:
    """The companies, with endpoints of both kinds."""
    from crud.serving import Api  # noqa: PLC0415

    with Api(_companies(asynchronous), root_path=root_path) as client:
        yield client
