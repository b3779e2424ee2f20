"""What is done to every FastAPI below `mount()`, whenever it came there, so that it is at home in Django."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakSet

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.apis.prepared import preparations
from djfast_mount.apis.tree import DocsRoute, Found, RouteLists, apps_in, docs_routes_in, fastapis_in
from djfast_mount.apis.unseen import MEETS, install
from djfast_mount.auth.schemes import check_schemes
from djfast_mount.conf import option
from djfast_mount.django_for_api.middleware import DjangoMiddleware
from djfast_mount.django_for_api.settings import DjangoSettings
from djfast_mount.django_for_api.view_hooks import call_view_hooks
from djfast_mount.exception_handlers import add_exception_handlers
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.fastpath.front import before, leave_to_fastapi, straighten, tell_if_unknown
from djfast_mount.security.djangos_middleware import chosen_settings
from djfast_mount.transactions import honour_atomic_requests
from djfast_mount.url_names.url_for import names_of_both

__all__ = ["Preparation"]

logger = logging.getLogger("djfast_mount.apis")


class Docs(Protocol):
    """Who sees the docs of the FastAPIs."""

    @property
    def access(self) -> str | None:
        """As `mount()` takes it."""

    def guard(self, found: Found, /) -> None:
        """Keeps the docs of a FastAPI from those who may not see them, and links to them from the admin."""

    def guard_route(self, docs_route: DocsRoute, /) -> None:
        """Keeps one page of a FastAPI's docs from those who may not see it. Raises ConfigurationError."""

    def guard_unseen(self, api: FastAPI, /) -> None:
        """Keeps the docs of a FastAPI from those who may not see them."""


class Preparation:
    """Prepares each FastAPI that the mounted apps lead to, at the start and whenever one has been mounted since.

    Args:
        apps: What is mounted, by prefix.
        docs: Who sees their docs.
        middleware: The Django middleware around all calls, as `mount()` takes it.
        fast_path: Whether routes are served by plans, as `mount()` takes it.
        afterwards: Called when all have been prepared, each time.

    Raises: ConfigurationError.
    """

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        docs: Docs,
        middleware: Sequence[str] | None,
        *,
        fast_path: bool,
        afterwards: Callable[[], None],
    ) -> None:
        self._apps = apps
        self._fast_path = fast_path
        self._docs = docs
        self._chosen = middleware
        self._known: WeakSet[FastAPI] = WeakSet()
        self._meeting = threading.Lock()
        self._afterwards = afterwards
        if fast_path:
            tell_if_unknown()
        install()
        self._prepare()
        self._check_docs()
        check_schemes(apps.values())

    def scopes(self) -> dict[str, Mapping[str, Any]]:
        """Returns, for each prefix, what the calls of its app have in their scope: the names of both halves' URLs, and
        what meets the FastAPIs that could not be seen.
        """
        return {prefix: {MEETS: self._meet, **names_of_both(app)} for prefix, app in self._apps.items()}

    def fronts(self) -> dict[str, ASGIApp]:
        """Returns, for each prefix, what all calls of its app pass before the app itself."""
        chosen = chosen_settings()

        def front(prefix: str, app: ASGIApp) -> ASGIApp:
            is_direct = self._chosen is None
            inner = self._with_new_ones(before(app, is_direct=is_direct) if isinstance(app, FastAPI) else app)
            if self._chosen is not None:
                inner = DjangoMiddleware(inner, app, self._chosen)
            return DjangoSettings(inner, prefix, chosen) if chosen else inner

        return {prefix: front(prefix, app) for prefix, app in self._apps.items()}

    def _prepare(self) -> None:
        found = [each for prefix, app in self._apps.items() for each in fastapis_in(app, prefix)]
        for each in found:
            self._do_steps(each.app, each.above)
            self._docs.guard(each)
            self._known.add(each.app)
        for prefix, app in self._apps.items():
            self._guard_routes(app, prefix)
        self._lists = RouteLists(self._apps.values())
        self._afterwards()

    def _do_steps(self, api: FastAPI, above: Sequence[Any]) -> None:
        """What is done to each FastAPI. Done twice it changes nothing."""
        add_exception_handlers(api, problem_details=option("problem_details"))
        honour_atomic_requests(api)
        for step in preparations:
            step(api)
        if self._fast_path:
            straighten(api, above)
        else:
            leave_to_fastapi(api)
        if self._chosen is not None:
            call_view_hooks(api)

    def _guard_routes(self, app: ASGIApp, path: str) -> None:
        for docs_route in docs_routes_in(app, path):
            self._docs.guard_route(docs_route)

    def _check_docs(self) -> None:
        """Raises ConfigurationError where docs are to be kept from somebody, and none can be seen."""
        opaque = [repr(app) for app in self._apps.values() if not any(apps_in(app))]
        if self._docs.access in ("staff", None) and opaque and not self._known:
            raise ConfigurationError(
                f"mount() got docs_access={self._docs.access!r}, and {', '.join(opaque)} shows no FastAPI whose docs "
                "could be kept. Give mount() the FastAPI itself, and its middleware by add_middleware(); or keep what "
                "you wrap in an attribute `app`; or leave docs_access out."
            )

    def _with_new_ones(self, inner: ASGIApp) -> ASGIApp:
        """Returns `inner`, asking before each call whether anything has been mounted since."""

        def serve(scope: Scope, receive: Receive, send: Send) -> Any:
            # Not a coroutine function: each costs its time.
            lists = self._lists
            if lists.now != lists.then:
                self._prepare()
            return inner(scope, receive, send)

        return serve

    def _meet(self, api: FastAPI, scope: Scope) -> None:
        """Prepares a FastAPI that could not be seen, before its first call. Runs on the loop of the call."""
        if api in self._known:
            return
        with self._meeting:
            for each in fastapis_in(api):
                self._do_steps(each.app, each.above)
                self._docs.guard_unseen(each.app)
                self._known.add(each.app)
            self._guard_routes(api, scope.get("root_path", ""))
        logger.warning(
            "The FastAPI %r is served under %r by an app that does not show it, so mount() met it with its first call: "
            "its names are not known. Give mount() the FastAPI itself, and its middleware by add_middleware(); or keep "
            "what you wrap in an attribute `app`.",
            api.title,
            scope.get("root_path", ""),
        )
