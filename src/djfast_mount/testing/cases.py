"""Django's test cases with an API client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.test import SimpleTestCase, TestCase, TransactionTestCase

from djfast_mount.testing.async_client import AsyncClient
from djfast_mount.testing.client import Client
from djfast_mount.testing.stray_connections import close_strays

__all__ = ["ApiMixin", "ApiTestCase", "ApiTransactionTestCase"]

if TYPE_CHECKING:
    _Case = SimpleTestCase
else:
    _Case = object


class ApiMixin(_Case):
    """Gives any of Django's test cases `self.api` and, for its ``async def`` tests, `self.async_api`.

    Both share cookies, and so the session, with `self.client` and `self.async_client`. They are made when they are
    first asked for, and closed after the test. Enter them, as in ``self.enterContext(self.api)``, to run the lifespan.
    """

    # Any: a type checker takes a plain function for a method, and it is read from the class only.
    asgi_application: ClassVar[Any] = None
    """The ASGI app, or its import string. None: what ``settings.ASGI_APPLICATION`` names."""

    api_client_class: ClassVar[type[Client]] = Client
    async_api_client_class: ClassVar[type[AsyncClient]] = AsyncClient

    @cached_property
    def api(self) -> Client:
        """The client of this test."""
        # Through the type: a plain function as class attribute would become a bound method of the test.
        client = self.api_client_class(type(self).asgi_application, django_client=self.client)
        self.addCleanup(client.close)
        return client

    @cached_property
    def async_api(self) -> AsyncClient:
        """The client of this ``async def`` test."""
        self.addCleanup(close_strays)
        return self.async_api_client_class(type(self).asgi_application, django_client=self.async_client)


class ApiTestCase(ApiMixin, TestCase):
    """Django's `TestCase`, with `self.api`: each test in a transaction that API calls are part of."""


class ApiTransactionTestCase(ApiMixin, TransactionTestCase):
    """Django's `TransactionTestCase`, with `self.api`."""
