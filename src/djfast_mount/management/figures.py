"""Asks a running server for the figures of its page, with a key that the project's secret key makes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandError
from django.urls import NoReverseMatch, get_script_prefix, reverse

from djfast_mount.dashboard.access import KEY_HEADER, key_of_terminal

__all__ = ["Server"]

# Seconds for an answer.
_TIMEOUT = 10.0


class Server:
    """A server of this project.

    Args:
        url: Where its Django half is, as in ``"http://127.0.0.1:8000"``: with the prefix of that, if there is one.
        headers: Further headers: the Host that ALLOWED_HOSTS names, say.

    Raises: CommandError, where the URLconf has no page, or for a URL of another kind.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise CommandError(f"--url is {url!r}. Give a URL such as http://127.0.0.1:8000.")
        try:
            page = reverse("djfast_mount_dashboard:figures").removeprefix(get_script_prefix())
        except NoReverseMatch as error:
            raise CommandError(
                "The URLconf has no page of the figures. Write there, above the admin's URLs: "
                'path("admin/mount/", include("djfast_mount.dashboard.urls")).'
            ) from error
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._path = f"{parts.path.rstrip('/')}/{page}"
        self._headers = dict(headers)
        self.url = url

    def figures(self) -> dict[str, Any]:
        """Returns what the page shows now. Raises: CommandError."""
        connection = self._connect(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request("GET", self._path, headers={**self._headers, KEY_HEADER: key_of_terminal()})
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(f"{self.url} does not answer: {error}. Start the server, or give its --url.") from error
        finally:
            connection.close()
        if response.status != 200:
            raise CommandError(f"{self.url}{self._path} answers {response.status}. {self._remedy(response)}")
        figures: dict[str, Any] = json.loads(body)
        return figures

    @staticmethod
    def _remedy(response: http.client.HTTPResponse) -> str:
        if response.status == 400:
            return 'Give a Host that ALLOWED_HOSTS names: --header "Host: shop.example".'
        if response.status == 403:
            return "Its SECRET_KEY, or its clock, is not this project's. Run the command where the server runs."
        if 300 <= response.status < 400:
            to = response.headers.get("location", "elsewhere")
            return f'It leads to {to}. Give that --url, or what a proxy adds: --header "X-Forwarded-Proto: https".'
        return "Give the --url of a server of this project, with the prefix of its Django half."
