"""The site with names, in force."""

from __future__ import annotations

from typing import Any

import pytest

from api_client import ApiClient
from djfast_mount import mount
from named_site import URLs, api_with_names


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    settings.ROOT_URLCONF = URLs


@pytest.fixture
def client(root_path: str) -> ApiClient:
    return ApiClient(mount("/api", api_with_names()), root_path)


@pytest.fixture
def mounted() -> None:
    mount("/api", api_with_names())
