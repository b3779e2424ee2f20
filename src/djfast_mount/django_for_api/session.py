"""The session of an API call: Django's CSRF rule has run before what a cookie brought is used.

1. The check belongs to the use of the session. It does not matter who asks for it: an endpoint, a dependency, a
   middleware, Django's `get_user`, messages, or somebody who has replaced `request.user`.
2. To use it is to load its data, to empty, save or delete it. A cookie that names no session brings nothing.
3. A session that somebody else puts on the request is guarded as well. One that is not Django's is guarded as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

__all__ = ["CookieUse", "guard", "peek"]

Rule = Callable[[HttpRequest, Any], None]


class CookieUse:
    """Whether a call may use the session that its cookie brought. The rule is asked until it passes once.

    Args:
        rule: Takes the request and the data of the session. Raises where the call is to be refused. None: no rule.
    """

    __slots__ = ("_request", "_rule", "permitted", "refused")

    def __init__(self, request: HttpRequest, rule: Rule | None) -> None:
        self._request = request
        self._rule = rule
        self.permitted = rule is None
        self.refused = False

    def permit(self, data: Any) -> None:
        """Runs the rule, unless it has passed. Raises CSRFRefused."""
        if not self.permitted and self._rule is not None:
            self.refused = True
            self._rule(self._request, data)
            self.permitted, self.refused = True, False

    def permit_anew(self, data: Any) -> None:
        """Runs the rule anew where it has passed, for it has become stricter. Raises CSRFRefused."""
        if self.permitted and self._rule is not None:
            self.permitted = False
            self.permit(data)


class _CookieSession(SessionBase):
    """A store whose key a cookie brought. The methods are those that Django documents for stores of a project's own."""

    cookie_use: CookieUse
    cookie_key: str
    peeked: Any = None  # the data, where the CSRF secret was looked for in it

    def load(self) -> Any:
        data = self.peeked if self.peeked is not None else super().load()
        self._permit(data)
        return data

    async def aload(self) -> Any:
        data = self.peeked if self.peeked is not None else await super().aload()
        self._permit(data)
        return data

    def clear(self) -> None:
        self._permit(self.peeked)
        super().clear()

    def save(self, must_create: bool = False) -> Any:
        if not must_create:
            self._permit(self.peeked)
        return super().save(must_create)

    async def asave(self, must_create: bool = False) -> Any:
        if not must_create:
            self._permit(self.peeked)
        return await super().asave(must_create)

    def delete(self, session_key: str | None = None) -> Any:
        if session_key in (None, self.cookie_key):
            self._permit(self.peeked)
        return super().delete(session_key)

    async def adelete(self, session_key: str | None = None) -> Any:
        if session_key in (None, self.cookie_key):
            self._permit(self.peeked)
        return await super().adelete(session_key)

    def _permit(self, data: Any) -> None:
        # A store drops the key of a session that is not there; one that is begun anew has another.
        if self.session_key == self.cookie_key:
            self.cookie_use.permit({} if data is None else data)


def guard(session: Any, use: CookieUse) -> bool:
    """Has `use` decide about the data of `session`. Returns False where `session` is not of a kind that can be guarded.

    Runs on any thread, and reads nothing from the store.
    """
    if not isinstance(session, SessionBase):
        return False
    if session.session_key is None or isinstance(session, _CookieSession):
        return True
    try:
        session.__class__ = _guarded(type(session))
    except TypeError:  # Its class has __slots__, or is not Python's.
        return False
    vars(session).update(cookie_use=use, cookie_key=session.session_key)
    return True


def peek(session: Any) -> Any:
    """Returns the data of `session` for its CSRF secret alone. Runs on the request thread."""
    if isinstance(session, _CookieSession) and session.peeked is None:
        session.peeked = super(_CookieSession, session).load()
        return session.peeked
    return session


@cache
def _guarded(store: type) -> type:
    # The names are the store's: Django signs the data with the name of the class (SessionBase.key_salt).
    names = {"__module__": store.__module__, "__qualname__": store.__qualname__}
    return type(store.__name__, (_CookieSession, store), names)
