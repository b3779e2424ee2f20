"""Tests that see the data: clients for the mounted root, or for any ASGI app, in the test's thread and transaction.

The live server needs uvicorn, and has a module of its own: `djfast_mount.testing.live_server`.
"""

from djfast_mount.testing.async_client import AsyncClient
from djfast_mount.testing.cases import ApiMixin, ApiTestCase, ApiTransactionTestCase
from djfast_mount.testing.client import Client
from djfast_mount.testing.lent_connections import lent_connections
from djfast_mount.testing.server import default_application
from djfast_mount.testing.stray_connections import StrayConnectionWarning
from djfast_mount.testing.websocket_messages import WebSocketDenied

__all__ = [
    "ApiMixin",
    "ApiTestCase",
    "ApiTransactionTestCase",
    "AsyncClient",
    "Client",
    "StrayConnectionWarning",
    "WebSocketDenied",
    "default_application",
    "lent_connections",
]
