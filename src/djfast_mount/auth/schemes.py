"""How a call says who it comes from: the schemes, and which of them a project has chosen.

1. A credential that is presented and wrong is a 401, never an anonymous call.
2. A credential that a browser sends by itself, a cookie, is asked for last, and held to Django's CSRF check.
3. Each chosen scheme stands in OpenAPI with every operation that asks for a user.
4. A response that was chosen by who calls says so in its Vary header, also where nobody has called.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from fastapi import Depends, HTTPException
from fastapi.openapi.models import APIKey
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from djfast_mount.apis.dependencies import calls_in
from djfast_mount.apis.tree import fastapis_in
from djfast_mount.conf import SETTING, option
from djfast_mount.django_for_api.request_layer import (
    call_of,
    get_request,
    http_request,
    names_a_user,
    set_user,
    site_user,
)
from djfast_mount.exceptions import ConfigurationError, MountError
from djfast_mount.security.settings_cache import cached_until_settings_change

__all__ = [
    "Scheme",
    "api_key",
    "authenticated",
    "bearer",
    "challenges",
    "check_cookie",
    "check_schemes",
    "check_sender",
    "chosen_schemes",
    "session",
]

_KEY = "authentication"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Scheme(SecurityBase):
    """One way to say who a call comes from.

    List its import string in ``settings.DJFAST_MOUNT["authentication"]``, and `CurrentUser` and its kin take it. As a
    dependency of its own, ``Depends(scheme)``, it is the only way in: the user, or 401.
    """

    def __init__(self, name: str, challenge: str) -> None:
        self.scheme_name = name
        self.challenge = challenge
        self.documented = _Documented(self)

    @property
    def ambient(self) -> bool:
        """Whether a browser sends the credential by itself, as it does with a cookie."""
        return isinstance(self.model, APIKey) and self.model.in_.value == "cookie"

    def credential(self, connection: HTTPConnection) -> str | None:
        """Returns what the client presents; None when it presents nothing of this kind."""
        raise NotImplementedError

    async def user(self, connection: HTTPConnection, credential: str) -> Any:
        """Returns whom `credential` stands for. Raises HTTPException 401, or returns None where it is out of date."""
        raise NotImplementedError

    @property
    def vary(self) -> tuple[str, ...]:
        """The headers that can hold the credential, as the scheme's model in OpenAPI says."""
        model = self.model
        if not isinstance(model, APIKey):
            return ("Authorization",)
        return {"header": (model.name,), "cookie": ("Cookie",)}.get(model.in_.value, ())

    async def __call__(self, connection: HTTPConnection) -> Any:
        _vary_on(connection, self.vary)
        credential = self._presented(connection)
        user = None if credential is None else await self.user_of(connection, credential)
        if user is None:
            raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": self.challenge})
        return user

    async def user_of(self, connection: HTTPConnection, credential: str) -> Any:
        """Returns what `user` does. Raises CSRFRefused where the credential is a cookie, or may be made of one."""
        if self.ambient:
            await check_cookie(connection)
        else:
            # A page of another site cannot make a browser send this header. But a middleware may have made it of a
            # cookie.
            await check_sender(connection, self.vary)
        return await self.user(connection, credential)

    def _presented(self, connection: HTTPConnection) -> str | None:
        """The credential. Raises HTTPException, 401, for one with control characters: no database need be asked."""
        credential = self.credential(connection)
        # PostgreSQL refuses a NUL in a text: a lookup would be a 500 for any stranger.
        if credential is not None and self is not session and _CONTROL.search(credential):
            raise HTTPException(401, "Invalid credentials", {"WWW-Authenticate": self.challenge})
        return credential


async def check_sender(connection: HTTPConnection, names: Sequence[str]) -> None:
    """Runs the CSRF check where the headers `names` are not as the client has sent them: a middleware may have made
    them of its cookies.

    Raises: CSRFRefused.
    """
    call = call_of(connection)
    if call is None or call.sent.header("cookie") is None:
        return
    if any(call.sent.header(name) != _joined(connection, name) for name in names):
        await check_cookie(connection)


async def check_cookie(connection: HTTPConnection) -> None:
    """Runs the CSRF check, for a credential that a browser sends by itself. Raises: CSRFRefused."""
    await get_request(connection)
    await run_in_threadpool(_check, connection)


def _joined(connection: HTTPConnection, name: str) -> str | None:
    return ",".join(connection.headers.getlist(name)) if name in connection.headers else None


def _vary_on(connection: HTTPConnection, names: tuple[str, ...]) -> None:
    call = call_of(connection)
    if call is not None:
        call.vary_on(names)


class _Documented(SecurityBase):
    """A scheme where it is one of several: stands in OpenAPI, and lets every call pass."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme_name = scheme.scheme_name
        self._scheme = scheme

    @property
    def model(self) -> SecurityModel:  # type: ignore[override]
        return self._scheme.model

    async def __call__(self) -> None:
        return None


class _Session(Scheme):
    @property
    def model(self) -> SecurityModel:  # type: ignore[override]
        # Not before it is asked for: settings may not be configured yet when this module is imported.
        return APIKeyCookie(name=settings.SESSION_COOKIE_NAME).model

    def credential(self, connection: HTTPConnection) -> str | None:
        return connection.cookies.get(settings.SESSION_COOKIE_NAME) or None

    async def user_of(self, connection: HTTPConnection, credential: str) -> Any:
        # No check here: reading the session below runs it.
        return await self.user(connection, credential)

    async def user(self, connection: HTTPConnection, credential: str) -> Any:
        await get_request(connection)
        return await run_in_threadpool(_session_user, connection)


def _session_user(connection: HTTPConnection) -> Any:
    request = http_request(connection)
    if not hasattr(request, "user"):
        raise ConfigurationError(
            "The session cookie logs nobody in without Django's SessionMiddleware and AuthenticationMiddleware: put "
            f"both into settings.MIDDLEWARE, or leave session out of settings.{SETTING}[{_KEY!r}]."
        )
    # Looked up on the request thread: this reads the session, and so runs the CSRF check, and the user.
    user = site_user(connection)
    # An anonymous session, as of a shopping basket, names nobody. It is no wrong credential either.
    return user if user.is_authenticated else None


def _user_of_middleware(connection: HTTPConnection) -> Any:
    user = _session_user(connection)
    if user is not None and not _sent(connection, "authorization").lower().startswith("bearer "):
        # What named it may go along with a request that a foreign page has made: a client certificate, Kerberos.
        # Django's half checks such a request too. No page can make a browser send a bearer token.
        _check(connection)
    return user


def _check(connection: HTTPConnection) -> None:
    request: Any = http_request(connection)
    request.cookie_use.permit(vars(request).get("session", {}))


def _sent(connection: HTTPConnection, name: str) -> str:
    """A header as the client has sent it."""
    call = call_of(connection)
    return (connection.headers.get(name) if call is None else call.sent.header(name)) or ""


class _Verified(Scheme):
    """A scheme with a function that knows the credentials."""

    def __init__(self, name: str, challenge: str, verify: Callable[[str], Any], refusal: str) -> None:
        if not callable(verify):
            raise ConfigurationError(
                f"The scheme {name!r} got {verify!r} to look credentials up. Give a function that takes the credential "
                "and returns its user, or None."
            )
        super().__init__(name, challenge)
        self._verify = verify
        self._refusal = refusal
        # Decided once. FastAPI decides so for endpoints, too, callable objects included.
        self._is_async = inspect.iscoroutinefunction(verify) or inspect.iscoroutinefunction(type(verify).__call__)

    async def user(self, connection: HTTPConnection, credential: str) -> Any:
        if self._is_async:
            user = await self._verify(credential)
        else:
            user = await run_in_threadpool(self._verify, credential)
        if user is not None and not hasattr(user, "is_authenticated"):
            raise MountError(
                f"The function of the scheme {self.scheme_name!r} returned a {type(user).__qualname__}. "
                "Return the user, or None for a credential that is not valid."
            )
        # One answer for "unknown", "inactive" and "expired": what is wrong with a key is nobody's business but its
        # owner's.
        if user is None or not user.is_authenticated or not getattr(user, "is_active", True):
            raise HTTPException(401, "Invalid credentials", {"WWW-Authenticate": self._refusal})
        call = call_of(connection)
        if call is not None:
            set_user(call, user)
        return user


class _APIKey(_Verified):
    def __init__(self, header: str, lookup: Callable[[str], Any]) -> None:
        if not isinstance(header, str) or not header.isascii() or not header.replace("-", "").isalnum():
            raise ConfigurationError(f'api_key() got the header {header!r}. Name one, as in api_key("X-API-Key", ...).')
        super().__init__(header, "APIKey", lookup, "APIKey")
        self.model = APIKeyHeader(name=header).model
        self._header = header

    def credential(self, connection: HTTPConnection) -> str | None:
        return connection.headers.get(self._header)


class _Bearer(_Verified):
    def __init__(self, verify: Callable[[str], Any]) -> None:
        super().__init__("bearer", "Bearer", verify, 'Bearer error="invalid_token"')
        self.model = HTTPBearer().model

    def credential(self, connection: HTTPConnection) -> str | None:
        scheme, token = get_authorization_scheme_param(connection.headers.get("Authorization"))
        return token if scheme.lower() == "bearer" else None


session: Scheme = _Session("session", "APIKey")
"""The session cookie of the Django site and its admin. The only scheme where nothing is configured."""


def api_key(header: str, lookup: Callable[[str], Any]) -> Scheme:
    """Returns the scheme of a key in a header of its own.

    Args:
        header: Its name, say ``"X-API-Key"``.
        lookup: Takes the key and returns its user, or None. A `def` runs on the request thread and may use the ORM.
    """
    return _APIKey(header, lookup)


def bearer(verify: Callable[[str], Any]) -> Scheme:
    """Returns the scheme of ``Authorization: Bearer <token>``.

    Args:
        verify: Takes the token and returns its user, or None. A `def` runs on the request thread and may use the ORM.
    """
    return _Bearer(verify)


class _Authenticated:
    """Dependency: the user whom one of the chosen schemes names, or None."""

    # Which schemes there are is asked when a route is made of it, and not at import: the module of a scheme of the
    # project's own imports this one.

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter("connection", kind, annotation=HTTPConnection)]
        parameters += [
            inspect.Parameter(f"scheme_{number}", kind, default=Depends(scheme.documented))
            for number, scheme in enumerate(chosen_schemes())
        ]
        return inspect.Signature(parameters)

    async def __call__(self, *, connection: HTTPConnection, **_: None) -> Any:
        _vary_on(connection, _vary())
        for scheme in chosen_schemes():
            credential = scheme._presented(connection)
            if credential is not None:
                user = await scheme.user_of(connection, credential)
                if user is not None:
                    return user
        # Whom a middleware names is the user of the Django request: CurrentUser says the same.
        return await run_in_threadpool(_user_of_middleware, connection) if names_a_user(connection) else None


authenticated = _Authenticated()


def challenges() -> dict[str, str]:
    """Returns the headers of a 401: what the chosen schemes ask for, each kind once."""
    return {"WWW-Authenticate": ", ".join(dict.fromkeys(scheme.challenge for scheme in chosen_schemes()))}


@cached_until_settings_change
def _vary() -> tuple[str, ...]:
    return tuple(name for scheme in chosen_schemes() for name in scheme.vary)


@cached_until_settings_change
def chosen_schemes() -> tuple[Scheme, ...]:
    """Returns the schemes of the project, in the order in which they are asked. Raises ConfigurationError."""
    paths = option(_KEY)
    if isinstance(paths, str) or not isinstance(paths, Iterable) or not paths:
        raise ConfigurationError(
            f'settings.{SETTING}[{_KEY!r}] is {paths!r}. Give a list of import strings, such as "myproject.auth.key".'
        )
    # A call with a key and a cookie is the key's. Sorting is stable, so the project's order holds among the others.
    schemes = sorted((_imported(path) for path in paths), key=lambda scheme: scheme.ambient)
    names = [scheme.scheme_name for scheme in schemes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"settings.{SETTING}[{_KEY!r}] has two schemes named {name!r}, which would read the same credential. "
                "Make them one, whose function knows both."
            )
    return tuple(schemes)


def _imported(path: object) -> Scheme:
    try:
        found = import_string(path) if isinstance(path, str) else path
    except ImportError as error:
        raise ConfigurationError(
            f"settings.{SETTING}[{_KEY!r}] lists {path!r}, which cannot be imported: {error}. Write the import string "
            'of what api_key() or bearer() returned, or "djfast_mount.auth.session".'
        ) from error
    if not isinstance(found, Scheme):
        raise ConfigurationError(
            f"settings.{SETTING}[{_KEY!r}] lists {path!r}, which is {found!r} and no scheme. Name what api_key() or "
            'bearer() returned, or "djfast_mount.auth.session".'
        )
    return found


def check_schemes(apps: Iterable[object]) -> None:
    """Raises ConfigurationError when schemes have been configured and no endpoint of `apps` asks for a user.

    Runs at start-up, once the routes are there. Other apps than FastAPI's cannot be asked.
    """
    apis = [found.app for app in apps for found in fastapis_in(app)]
    # Only where somebody has written the setting: by default there are APIs without users.
    if not apis or _KEY not in getattr(settings, SETTING, {}):
        return
    used = {id(call) for api in apis for call in calls_in(api)}
    if id(authenticated) in used:
        chosen_schemes()
        return
    for scheme in chosen_schemes():
        if id(scheme) not in used:
            raise ConfigurationError(
                f"settings.{SETTING}[{_KEY!r}] lists the scheme {scheme.scheme_name!r}, and no endpoint asks who the "
                "user is: it protects nothing. Add CurrentUser, or another dependency of djfast_mount.auth, to the "
                "endpoints that it is to protect, or remove it from the list."
            )
