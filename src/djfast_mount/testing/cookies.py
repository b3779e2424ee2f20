"""The cookies that a test client shares with Django's own: a login of one is a login of both."""

from __future__ import annotations

import httpx
from django.test import AsyncClient, Client

__all__ = ["SharedCookies"]


class SharedCookies:
    """Carries cookies between Django's test client and an httpx client, both ways.

    Args:
        django_client: Django's. Its cookies know no host.
        url: Where the app is served. Cookies of other hosts are left alone.
    """

    def __init__(self, django_client: Client | AsyncClient, url: httpx.URL) -> None:
        self._django_client = django_client
        # As http.cookiejar writes a host that is a single word.
        self._domain = url.host if "." in url.host else f"{url.host}.local"
        self._known: dict[str, str] = {}

    def take(self, cookies: httpx.Cookies) -> None:
        """Copies to `cookies` what has changed in Django's client since the last time."""
        theirs = self._theirs()
        for name in theirs.keys() | self._known.keys():
            if theirs.get(name) != self._known.get(name):
                _remove(cookies, name)
                if name in theirs:
                    cookies.set(name, theirs[name], domain=self._domain)
        self._known = theirs

    def give(self, cookies: httpx.Cookies) -> None:
        """Copies `cookies` to Django's client."""
        ours = {cookie.name: cookie.value or "" for cookie in cookies.jar if cookie.domain in ("", self._domain)}
        theirs = self._django_client.cookies
        for name in self._known.keys() - ours.keys():
            theirs.pop(name, None)
        for name, value in ours.items():
            if name not in theirs or theirs[name].value != value:
                theirs[name] = value
        self._known = self._theirs()

    def _theirs(self) -> dict[str, str]:
        # A deleted cookie stays there, empty.
        return {name: morsel.value for name, morsel in self._django_client.cookies.items() if morsel.value}


def _remove(cookies: httpx.Cookies, name: str) -> None:
    for cookie in [cookie for cookie in cookies.jar if cookie.name == name]:
        cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
