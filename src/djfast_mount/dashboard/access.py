"""Who sees the page: the staff, as the admin knows it, and the terminal of who can run `manage.py`.

A key made with ``settings.SECRET_KEY`` opens the figures to `manage.py mount_top` for a minute. Who can run it
has that key, and with it any session.
"""

from __future__ import annotations

import copy
from typing import Any

from django.contrib import admin
from django.contrib.auth import BACKEND_SESSION_KEY, get_user
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest

from djfast_mount.conf import option

__all__ = ["KEY_HEADER", "key_of_terminal", "may_see", "may_still_see", "opens"]

KEY_HEADER = "X-Djfast-Mount-Key"
# Seconds for which a key opens the figures.
_LIFETIME = 60

_signer = TimestampSigner(salt="djfast_mount.dashboard")
_SIGNED = "figures"


def may_see(request: HttpRequest) -> bool:
    """Whether the user who sends `request` may see the page. Asks the database, and so runs on the request's thread."""
    permission: str | None = option("dashboard_permission")
    if not admin.site.has_permission(request):
        return False
    user: Any = request.user
    return permission is None or bool(user.has_perm(permission))


def may_still_see(request: HttpRequest) -> bool:
    """Whether the sender of `request`, which came a while ago, may see the page now: it may have logged out since.

    Runs on the request's thread. A user who is not one by the session, but by a header, say, is as before.
    """
    again = copy.copy(request)
    if request.session.get(BACKEND_SESSION_KEY) is not None:
        again.session = type(request.session)(request.session.session_key)
        again.user = get_user(again)
    return may_see(again)


def key_of_terminal() -> str:
    """Returns a key for the figures."""
    return _signer.sign(_SIGNED)


def opens(key: str) -> bool:
    """Whether `key` was made with this project's secret key, within the last minute."""
    try:
        return _signer.unsign(key, max_age=_LIFETIME) == _SIGNED
    except BadSignature:
        return False
