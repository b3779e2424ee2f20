"""``request.url_for`` and ``websocket.url_for`` in a mounted app: Django's names beside the app's own."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import URL, URLPath
from starlette.routing import NoMatchFound

from djfast_mount.routing.inner_app import unwrapped
from djfast_mount.url_names.reverse import reverse

__all__ = ["CombinedRouter", "router_in_scope"]


def router_in_scope(app: object) -> dict[str, CombinedRouter]:
    """Returns what is to be in the scope of the calls of `app`: what stands in for its router, if it has one."""
    router = getattr(unwrapped(app), "router", None)
    return {} if router is None else {"router": CombinedRouter(router)}


class CombinedRouter:
    """A router that knows Django's names, and those of other prefixes, too. For all but names it is the app's own.

    Starlette asks ``scope["router"]`` for a URL, and puts its own router there only where there is none yet.
    """

    def __init__(self, router: Any) -> None:
        self._router = router

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Returns the path of an endpoint of the app, or what `reverse` finds.

        Raises: UnknownURL, which is a NoMatchFound.
        """
        try:
            # The app's own names first, without a namespace, as Starlette's code expects them.
            path: URLPath = self._router.url_path_for(name, **path_params)
        except NoMatchFound:
            return _WholePath(reverse(name, kwargs=path_params), protocol="http")
        return path


class _WholePath(URLPath):
    """A path from the root of the host, and not of the app that is being served."""

    def make_absolute_url(self, base_url: str | URL) -> URL:
        base = URL(base_url) if isinstance(base_url, str) else base_url
        # `reverse()` has put the outer prefix in front. Starlette would add the app's root_path to it a second time.
        return super().make_absolute_url(base.replace(path="/"))
