"""What is done to every FastAPI below `mount()`, whenever it came there, so that it is at home in Django."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.apis.prepared import preparations
from djfast_mount.apis.tree import Found, RouteLists, apps_in, fastapis_in
from djfast_mount.auth.schemes import check_schemes
from djfast_mount.conf import option
from djfast_mount.django_for_api.middleware import Chain, DjangoMiddleware, chosen_middleware
from djfast_mount.django_for_api.view_hooks import call_view_hooks
from djfast_mount.exception_handlers import add_exception_handlers
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.fastpath.front import before, leave_to_fastapi, straighten, tell_if_unknown
from djfast_mount.security.djangos_middleware import DjangoSettings, chosen_settings
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
        """Keeps the docs of a FastAPI from those who may not see them."""

    def opens(self, api: FastAPI, path: str, /) -> bool:
        """Whether `path` of a FastAPI that has not been guarded shows everybody what is not public."""


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
        self._middleware = chosen_middleware(middleware)
        self._afterwards = afterwards
        if fast_path:
            tell_if_unknown()
        self._prepare()
        self._check_docs()
        check_schemes(apps.values())

    def scopes(self) -> dict[str, Mapping[str, Any]]:
        """Returns, for each prefix, what the calls of its app have in their scope: the names of both halves' URLs."""
        return {prefix: names_of_both(app) for prefix, app in self._apps.items()}

    def fronts(self) -> dict[str, ASGIApp]:
        """Returns, for each prefix, what all calls of its app pass before the app itself."""
        chosen = chosen_settings()

        def front(prefix: str, app: ASGIApp) -> ASGIApp:
            if isinstance(app, FastAPI):
                inner = self._with_new_ones(app, before(app))
            else:
                inner = self._with_new_ones(app, app) if any(apps_in(app)) else _Opaque(app, self._met)
            if self._middleware is not None:
                inner = DjangoMiddleware(inner, lambda: Chain(chosen_middleware(self._chosen) or (), app))
            return DjangoSettings(inner, prefix, chosen) if chosen else inner

        return {prefix: front(prefix, app) for prefix, app in self._apps.items()}

    def _prepare(self) -> None:
        found = [each for prefix, app in self._apps.items() for each in fastapis_in(app, prefix)]
        for each in found:
            self._do_steps(each)
        self._prepared = {id(each.app): each.app for each in found}
        self._lists = RouteLists(self._apps.values())
        self._afterwards()

    def _do_steps(self, found: Found) -> None:
        """What is done to each FastAPI. Done twice it changes nothing."""
        add_exception_handlers(found.app, problem_details=option("problem_details"))
        honour_atomic_requests(found.app)
        for step in preparations:
            step(found.app)
        if self._fast_path:
            straighten(found.app, found.above)
        else:
            leave_to_fastapi(found.app)
        self._docs.guard(found)
        if self._middleware is not None:
            call_view_hooks(found.app)

    def _check_docs(self) -> None:
        """Raises ConfigurationError where docs are to be kept from somebody, and none can be seen."""
        opaque = [repr(app) for app in self._apps.values() if not any(apps_in(app))]
        if self._docs.access in ("staff", None) and opaque and not self._prepared:
            raise ConfigurationError(
                f"mount() got docs_access={self._docs.access!r}, and {', '.join(opaque)} shows no FastAPI whose docs "
                "could be kept. Give mount() the FastAPI itself, and its middleware by add_middleware(); or keep what "
                "you wrap in an attribute `app`; or leave docs_access out."
            )

    def _with_new_ones(self, app: ASGIApp, inner: ASGIApp) -> ASGIApp:
        """Returns `inner`, which leads to `app`, asking before each call whether anything has been mounted since."""

        def serve(scope: Scope, receive: Receive, send: Send) -> Any:
            # Not a coroutine function: each costs its time.
            if self._lists.changed():
                self._prepare()
            return inner(scope, receive, send)

        return serve

    def _met(self, api: FastAPI, scope: Scope) -> None:
        """Prepares a FastAPI that answers a call for the first time. Raises ConfigurationError for hidden docs."""
        if id(api) in self._prepared:
            return
        root_path = scope.get("root_path", "")
        for each in fastapis_in(api, root_path):
            self._do_steps(each)
            self._prepared[id(each.app)] = each.app
        hidden = (
            f"The FastAPI {api.title!r} is served under {root_path!r} by an app that does not show it, so mount() met "
            "it with its first answer. Give mount() the FastAPI itself, and its middleware by add_middleware(); or "
            "keep what you wrap in an attribute `app`."
        )
        logger.warning("%s", hidden)
        if self._docs.opens(api, str(scope["path"]).removeprefix(root_path)):
            raise ConfigurationError(hidden)


class _Opaque:
    """ASGI: an app that does not show what it calls."""

    def __init__(self, app: ASGIApp, met: Callable[[FastAPI, Scope], None]) -> None:
        self._app = app
        self._met = met

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            # A FastAPI puts itself into the scope that it is called with.
            api = scope.get("app")
            if message["type"] == "http.response.start" and isinstance(api, FastAPI):
                self._met(api, scope)
            await send(message)

        await self._app(scope, receive, answer)
