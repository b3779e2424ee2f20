"""For pytest-asyncio: as in checks_plugin.py."""

from __future__ import annotations

import pytest

from djfast_mount.testing import AsyncClient
from testing_project.books.models import Author, Book
from testing_project.shared_checks import check


@pytest.mark.asyncio
async def test_asyncio(async_api_client: AsyncClient, books: list[Book]) -> None:
    await check(async_api_client, books)


@pytest.mark.asyncio(loop_scope="session")
async def test_asyncio_on_a_loop_of_the_session(books: list[Book], async_api_client: AsyncClient) -> None:
    await check(async_api_client, books)


@pytest.mark.asyncio
async def test_asyncio_committed(transactional_db: None, async_api_client: AsyncClient, books: list[Book]) -> None:
    await check(async_api_client, books)


@pytest.mark.django_db
def test_nothing_is_left() -> None:
    assert not Author.objects.exists()
