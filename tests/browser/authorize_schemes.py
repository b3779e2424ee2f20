"""The schemes that authorize_settings.py lists."""

from __future__ import annotations

from django.contrib.auth.models import User

from djfast_mount.auth import api_key, bearer
from project.library.models import Key


def by_key(key: str) -> User | None:
    found = Key.objects.select_related("user").filter(key=key).first()
    return found.user if found else None


async def by_token(token: str) -> User | None:
    return await User.objects.filter(username=token.removeprefix("token-of-")).afirst()


key = api_key("X-API-Key", by_key)
token = bearer(by_token)
