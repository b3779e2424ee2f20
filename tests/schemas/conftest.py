"""What the tests of schemas share."""

from __future__ import annotations

import pytest


@pytest.fixture
def firm(db: None) -> None:
    """Three companies: with everything, with an empty department, and with nothing."""
    from schemas.firm_rows import make_firm  # noqa: PLC0415  (models: the settings are not there when this is read)

    make_firm()
