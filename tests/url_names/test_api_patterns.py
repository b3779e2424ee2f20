"""The values that a path takes, and the types of its endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import NoReverseMatch
from django.urls import reverse as django_reverse

from djfast_mount.urls import UnknownURL, reverse

pytestmark = pytest.mark.once


BAD: list[tuple[str, dict[str, Any]]] = [
    ("api:item", {"id": "one"}),
    ("api:item", {"id": 1.5}),
    ("api:item", {}),
    ("api:item", {"id": 1, "more": 2}),
    ("api:typed", {"kind": "blue", "day": "2026-01-02", "key": "0198c0de-0000-7000-8000-000000000000"}),
    ("api:typed", {"kind": "red", "day": "soon", "key": "0198c0de-0000-7000-8000-000000000000"}),
    ("api:typed", {"kind": "red", "day": "2026-01-02", "key": "key"}),
    ("api:converted", {"number": -1, "share": 0.5, "file": "a"}),
    ("api:converted", {"number": "x", "share": 0.5, "file": "a"}),
    ("api:converted", {"number": 1, "share": float("nan"), "file": "a"}),
    ("api:in_dependency", {"tenant": "t"}),
    ("api:uuid", {"key": "key"}),
    ("api:text", {"text": "a/b"}),
    ("api:text", {"text": ""}),
    ("page", {"number": "one"}),
]


@pytest.mark.parametrize(("name", "params"), BAD)
def test_values_are_checked(mounted: None, name: str, params: dict[str, Any]) -> None:
    """A value that the path or the endpoint would not take makes no URL; the error says that the name is known."""
    with pytest.raises(UnknownURL, match=r"not found.*is known; give the parameters"):
        reverse(name, **params)
    with pytest.raises(NoReverseMatch):
        django_reverse(name, kwargs=params)
