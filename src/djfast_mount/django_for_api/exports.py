"""What djfast_mount.asgi takes from this room. The order of the layers is decided there."""

from __future__ import annotations

from djfast_mount.django_for_api.middleware import DjangoMiddleware
from djfast_mount.django_for_api.request_layer import DjangoRequests
from djfast_mount.django_for_api.settings import with_django_settings
from djfast_mount.django_for_api.view_hooks import call_view_hooks

__all__ = ["DjangoMiddleware", "DjangoRequests", "call_view_hooks", "with_django_settings"]
