"""The files of the API's docs pages, which come with this package, and their URLs.

They are served wherever static files are. Where `djfast_mount` is among the INSTALLED_APPS and the project's storage
knows them (`collectstatic` has run, or DEBUG is on), their URLs are the storage's: with a hash, on another host.
"""

from __future__ import annotations

import copy
from pathlib import Path
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.urls import get_script_prefix

from djfast_mount.staticfiles.table import static_storage, urls_left_open

__all__ = ["FOLDER", "DocsFiles"]

FOLDER = str(Path(__file__).parents[1] / "static" / "djfast_mount")

_NAMES = (
    "docs.css",
    "docs-redoc.js",
    "docs-swagger.js",
    "redoc/redoc.standalone.js",
    "swagger-ui/favicon-32x32.png",
    "swagger-ui/oauth2-redirect.js",
    "swagger-ui/swagger-ui-bundle.js",
    "swagger-ui/swagger-ui.css",
)
_ABSOLUTE = ("http://", "https://", "/")


class DocsFiles:
    """The URLs of the files. Made once at start-up, after `django.setup()`; reads the settings of static files then."""

    def __init__(self) -> None:
        # A copy is the plain object behind Django's lazy settings, which would add the script prefix and keep it.
        written = copy.copy(settings)
        static_url = written.STATIC_URL or ""
        self._collected = _collected(static_url)
        served_at = getattr(written, "WHITENOISE_STATIC_PREFIX", None) or static_url
        self._served_at = urlsplit(served_at).path.strip("/")
        self._follows_django = served_at == static_url and not static_url.startswith(_ABSOLUTE)

    def url(self, name: str, outer: str, script_name: str) -> str:
        """Returns the URL of the file `name`, for a browser.

        Args:
            outer: The outer prefix without its last slash.
            script_name: Django's: the outer prefix with Django's own, if it has one.
        """
        if (url := self._collected.get(name)) is not None:
            return url if url.startswith(_ABSOLUTE) else f"{script_name}/{url}"
        path = "/".join(["", *filter(None, [self._served_at]), "djfast_mount", name])
        # A relative STATIC_URL follows the script name (Django 3.1), Django's prefix of its own included.
        if self._follows_django:
            return script_name + path
        # An absolute STATIC_URL may hold the outer prefix itself.
        return path if path.startswith(f"{outer}/") else outer + path


def _collected(static_url: str) -> dict[str, str]:
    """The URLs of the project's storage; those that follow the outer prefix start with no slash."""
    if not static_url or not apps.is_installed("djfast_mount"):
        return {}
    with urls_left_open():
        storage = static_storage()
        try:
            urls = {name: storage.url(f"djfast_mount/{name}") for name in _NAMES} if storage is not None else {}
        except ValueError:  # The manifest of the storage lacks these files, or there is no manifest.
            return {}
    if static_url.startswith(_ABSOLUTE):
        return urls
    return {name: url.removeprefix(get_script_prefix()) for name, url in urls.items()}
