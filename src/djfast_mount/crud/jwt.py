"""JSON Web Tokens as a scheme of FastAPI's, by PyJWT: ``pip install djfast-mount[jwt]``.

1. The algorithms are named by the site, never by the token; ``none`` is refused, and so are keys of another kind.
2. A token without an expiry is refused. Issuer and audience are checked wherever they are set.
3. Which claim was wrong is told to nobody but the log.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from fastapi import HTTPException
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from djfast_mount.auth.schemes import check_sender
from djfast_mount.exceptions import ConfigurationError

__all__ = ["JWT", "Token"]

logger = logging.getLogger("djfast_mount.crud")

_SYMMETRIC = {"HS256", "HS384", "HS512"}


@dataclass(frozen=True)
class Token:
    """What a valid token says.

    Args:
        claims: All of it.
        scopes: Those of its claim ``scope``, a text with spaces (RFC 8693) or a list.
    """

    claims: Mapping[str, Any]
    scopes: frozenset[str]

    @property
    def user_id(self) -> str | None:
        """The claim ``sub``."""
        return self.claims.get("sub")

    @property
    def tenant_id(self) -> Any:
        """The claim ``ten``; None where there is none."""
        return self.claims.get("ten")

    @property
    def jti(self) -> str | None:
        """The claim ``jti``."""
        return self.claims.get("jti")

    @property
    def critical(self) -> bool:
        """The claim ``crt``: whether the token allows critical writes."""
        return self.claims.get("crt") is True

    def has_scope(self, scope: str) -> bool:
        """Whether `scope` is among the token's."""
        return scope in self.scopes


class JWT(HTTPBearer):
    """The scheme: returns a `Token` for a valid bearer token, and answers 401 to all else.

    Args:
        key: The key, as text or as an object of cryptography's, or a mapping of several by their ``kid``; None with
            `jwks_url`.
        algorithms: The algorithms that are accepted, ``["ES512"]``.
        jwks_url: Where the issuer publishes its keys. They are fetched again when they are older than `lifespan`
            seconds, so that a key is good for nothing soon after the issuer has withdrawn it, and when a token names
            another one, though not more often than every `refresh` seconds.
        audience: What ``aud`` must hold one of. None: tokens for anybody are taken, and those that name an audience
            refused (RFC 7519, section 4.1.3).
        issuer: What ``iss`` must be.
        leeway: By how many seconds clocks may differ.
        auto_error: False: a call without a token returns None. A wrong token is 401 all the same.

    Raises:
        ConfigurationError: There is no key, no algorithm, or one that signs nothing.
    """

    def __init__(
        self,
        *,
        key: Any = None,
        algorithms: Sequence[str] = ("ES512",),
        jwks_url: str | None = None,
        audience: str | Sequence[str] | None = None,
        issuer: str | None = None,
        leeway: float = 0.0,
        refresh: float = 30.0,
        lifespan: float = 300.0,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        # FastAPI's own class answers 403 or 401 for a missing header, depending on its version; here it never refuses,
        # and the scheme decides below.
        super().__init__(bearerFormat="JWT", scheme_name=scheme_name, description=description, auto_error=False)
        _check(key, algorithms, jwks_url)
        self._keys: Any = _KeySet(jwks_url, refresh, lifespan) if jwks_url else key
        self._algorithms = list(algorithms)
        self._audience = audience
        self._issuer = issuer
        self._leeway = leeway
        self._demands = auto_error

    async def __call__(self, request: Request) -> Token | None:  # type: ignore[override]
        credentials = await super().__call__(request)
        if credentials is None:
            # A header of another kind (`Basic ...`) was meant to authenticate: to serve it as nobody would hide a
            # client's mistake.
            if self._demands or "authorization" in request.headers:
                raise _refused()
            return None
        # A middleware may have made a Bearer header of a cookie, which a foreign page can have sent: then the call
        # needs the CSRF check after all.
        await check_sender(request, ("Authorization",))
        if isinstance(self._keys, _KeySet):
            # The keys may have to be fetched over the network, and the event loop must not wait for that.
            return await run_in_threadpool(self.token, credentials.credentials)
        return self.token(credentials.credentials)

    def token(self, text: str) -> Token:
        """Returns what a token says. Raises: HTTPException 401, when it is not valid."""
        try:
            claims = jwt.decode(
                text,
                self._key(text),
                # RFC 8725, section 3.1: the header of a token must not choose how it is verified.
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                # PyJWT itself accepts a token without `exp`. It refuses a token with an `aud` if no audience is
                # expected.
                options={"require": ["exp"]},
            )
        # Tokens are strangers' input, and not every fault in their base64, JSON or key comes as an error of PyJWT's
        # own.
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            logger.info("A token was refused: %s", error)
            raise _refused("invalid_token") from error
        # `scope` is RFC 8693's; `scp` is what Microsoft's and Okta's issuers write.
        return Token(claims, _scopes(claims.get("scope", claims.get("scp", ""))))

    def _key(self, text: str) -> Any:
        if not isinstance(self._keys, Mapping | _KeySet):
            return self._keys
        kid = jwt.get_unverified_header(text).get("kid")
        if isinstance(self._keys, _KeySet):
            return self._keys.key(kid)
        if kid not in self._keys:
            raise jwt.InvalidKeyError(f"There is no key {kid!r}.")
        return self._keys[kid]


class _KeySet:
    """An issuer's keys (RFC 7517), which it may exchange at any time."""

    def __init__(self, url: str, refresh: float, lifespan: float) -> None:
        # Its own caches are off: with them it fetches the set again for every unknown `kid`, which an anonymous client
        # can make up.
        self._client = jwt.PyJWKClient(url, cache_keys=False, cache_jwk_set=False, timeout=5)
        self._refresh = refresh
        self._lifespan = lifespan
        self._fetching = threading.Lock()
        # The keys, and when they came. Replaced as a whole, so that no call with a known key waits for a fetch that a
        # made-up name has begun.
        self._found: tuple[dict[str | None, Any], float] = ({}, -math.inf)
        self._asked = -math.inf

    def knows(self, text: str) -> bool:
        """Whether `key()` answers at once for the token `text`."""
        try:
            return not self._is_stale(jwt.get_unverified_header(text).get("kid"))
        except (jwt.PyJWTError, ValueError, TypeError):
            return True  # It is refused for what it is.

    def key(self, kid: str | None) -> Any:
        if self._is_stale(kid):
            with self._fetching:
                if self._is_stale(kid):
                    self._fetch()
        keys, _ = self._found
        if kid not in keys:
            raise jwt.InvalidKeyError(f"The issuer has no key {kid!r}.")
        return keys[kid]

    def _is_stale(self, kid: str | None) -> bool:
        keys, came = self._found
        now = time.monotonic()
        # Neither a client that makes up names of keys nor an issuer that does not answer has us ask each time.
        return bool(keys and now - came >= self._lifespan) or (kid not in keys and now - self._asked >= self._refresh)

    def _fetch(self) -> None:
        now = self._asked = time.monotonic()
        if now - self._found[1] >= self._lifespan:
            # Where the issuer does not answer, nobody knows which of the old keys are good.
            self._found = {}, now
        self._found = {key.key_id: key.key for key in self._client.get_signing_keys()}, now


def _check(key: Any, algorithms: Sequence[str], jwks_url: str | None) -> None:
    if (key is None) == (jwks_url is None):
        raise ConfigurationError("JWT() wants the key that tokens are signed with: give key= or jwks_url=, not both.")
    if isinstance(algorithms, str) or not algorithms:
        raise ConfigurationError(f'JWT() got algorithms={algorithms!r}. Name them in a list, as in ["ES512"].')
    known = jwt.algorithms.get_default_algorithms()
    for name in algorithms:
        if name == "none" or name not in known:
            raise ConfigurationError(f"JWT() got the algorithm {name!r}, which signs nothing or is not known to PyJWT.")
    # Algorithm confusion (RFC 8725, section 2.1; CVE-2015-9235): an HS256 token that is "signed" with the public key.
    if len({name in _SYMMETRIC for name in algorithms}) > 1:
        raise ConfigurationError(
            f"JWT() got algorithms={list(algorithms)!r}: with secrets and public keys together, a public key could be "
            "taken for a secret. Make a scheme for each."
        )


def _scopes(claim: Any) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split())
    # Any other type says nothing: the keys of an object are no scopes.
    return frozenset(each for each in claim if isinstance(each, str)) if isinstance(claim, list) else frozenset()


def _refused(error: str = "") -> HTTPException:
    challenge = f'Bearer error="{error}"' if error else "Bearer"
    return HTTPException(401, "Not authenticated", {"WWW-Authenticate": challenge})
