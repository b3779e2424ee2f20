"""The site with names, in force."""

# Imported by the fixtures: pytest loads this file before Django is set up where it is given this folder alone.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from api_client import ApiClient


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    from named_site import URLs  # noqa: PLC0415

    settings.ROOT_URLCONF = URLs


@pytest.fixture
def client(root_path: str) -> ApiClient:
    from api_client import ApiClient  # noqa: PLC0415

    return ApiClient(_mounted(), root_path)


@pytest.fixture
def mounted() -> None:
    _mounted()


def _mounted() -> Any:
    from djfast_mount import mount  # noqa: PLC0415
    from named_site import api_with_names  # noqa: PLC0415

    return mount("/api", api_with_names())
