"""What is done to every FastAPI below `mount()`, whenever it came there, so that it is at home in Django."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakSet

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.apis.misplaced_dependencies import check_defaults
from djfast_mount.apis.preparation_hooks import preparations
from djfast_mount.apis.tree import Found, RouteLists, apps_in, fastapis_in, routers_in
from djfast_mount.apis.unseen import MEETS, install
from djfast_mount.auth.schemes import check_schemes
from djfast_mount.django_for_api import encoding
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.url_names.api_patterns import register
from djfast_mount.url_names.url_for import router_in_scope

__all__ = ["Preparation"]

logger = logging.getLogger("djfast_mount.apis")


class Docs(Protocol):
    """Who sees the docs of the FastAPIs."""

    @property
    def access(self) -> str | None:
        """As `mount()` takes it."""

    @property
    def scope(self) -> Mapping[str, Any]:
        """What is to be in the scope of a call whose docs these are."""

    def guard(self, found: Found, /) -> None:
        """Keeps the docs of a FastAPI from those who may not see them, and links to them from the admin."""

    def guard_unseen(self, api: FastAPI, /) -> None:
        """Keeps the docs of a FastAPI from those who may not see them."""


class Preparation:
    """Prepares each FastAPI that the mounted apps lead to, at the start and whenever one has been mounted since.

    Args:
        apps: What is mounted, by prefix.
        docs: Who sees their docs.
        prepare: What is done to each, given the apps in which it is mounted. Done twice it must change nothing.
        django_prefix: The prefix of Django's half; the empty string: none.

    Raises: ConfigurationError.
    """

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        docs: Docs,
        prepare: Callable[[FastAPI | APIRouter, Sequence[Any]], None],
        django_prefix: str = "",
    ) -> None:
        self._apps = apps
        self._docs = docs
        self._prepare_one = prepare
        self._django_prefix = django_prefix
        # Weakly: an app that is made for one request, as some gateways do, must not be kept.
        self._known: WeakSet[FastAPI] = WeakSet()
        self._meeting = threading.Lock()
        self.lists = RouteLists(())
        """Where they have changed, something has been mounted that is still to be prepared."""
        install()
        encoding.install()
        self._prepare()
        self._check_docs()
        check_schemes(apps.values())

    def scopes(self) -> dict[str, Mapping[str, Any]]:
        """Returns, for each prefix, what the calls of its app have in their scope: the names of both halves' URLs, the
        docs, and what meets the FastAPIs that could not be seen.
        """
        return {
            prefix: {MEETS: self._meet, **self._docs.scope, **router_in_scope(app)}
            for prefix, app in self._apps.items()
        }

    def meeting_new_ones(self, inner: ASGIApp) -> ASGIApp:
        """Returns `inner`, asking before each call whether anything has been mounted since."""

        def serve(scope: Scope, receive: Receive, send: Send) -> Any:
            # A plain function that returns the awaitable: a coroutine of its own would slow every call.
            lists = self.lists
            # Lists of routes are compared by their length and identity, which is what appending changes: a deep look
            # would cost more than the call.
            if lists.now != lists.then:
                self._prepare()
            return inner(scope, receive, send)

        return serve

    def _prepare(self) -> None:
        found = [each for prefix, app in self._apps.items() for each in fastapis_in(app, prefix)]
        for each in found:
            self._do_steps(each.app, each.above)
            self._docs.guard(each)
            self._known.add(each.app)
        for app in self._apps.values():
            self._prepare_routers(app)
        self.lists.look_again(self._apps.values())
        register(self._apps, self._django_prefix)

    def _prepare_routers(self, app: ASGIApp) -> None:
        for each in routers_in(app):
            self._do_steps(each.app, each.above)

    def _do_steps(self, api: FastAPI | APIRouter, above: Sequence[Any]) -> None:
        check_defaults(api)
        for step in preparations:
            step(api)
        self._prepare_one(api, above)

    def _check_docs(self) -> None:
        """Raises ConfigurationError where docs are to be kept from somebody, and none can be seen."""
        opaque = [repr(app) for app in self._apps.values() if not any(apps_in(app))]
        if self._docs.access in ("staff", None) and opaque and not self._known:
            raise ConfigurationError(
                f"mount() got docs_access={self._docs.access!r}, and {', '.join(opaque)} shows no FastAPI whose docs "
                "could be kept. Give mount() the FastAPI itself, and its middleware by add_middleware(); or keep what "
                "you wrap in an attribute `app`; or leave docs_access out."
            )

    def _meet(self, api: FastAPI, scope: Scope) -> None:
        """Prepares a FastAPI that could not be seen, before its first call. Runs on the loop of the call."""
        if api in self._known:
            return
        # Two loops may meet the same FastAPI at once, and a dependency must not be inserted twice.
        with self._meeting:
            found = list(fastapis_in(api))
            for each in found:
                self._do_steps(each.app, each.above)
                self._docs.guard_unseen(each.app)
            self._prepare_routers(api)
            self._known.update(each.app for each in found)
        logger.warning(
            "The FastAPI %r is served under %r by an app that does not show it, so mount() met it with its first call: "
            "its names are not known. Give mount() the FastAPI itself, and its middleware by add_middleware(); or keep "
            "what you wrap in an attribute `app`.",
            api.title,
            scope.get("root_path", ""),
        )
