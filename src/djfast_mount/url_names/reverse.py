"""`reverse()` over both frameworks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import NoReverseMatch
from django.urls import reverse as django_reverse
from starlette.routing import NoMatchFound

from djfast_mount.exceptions import MountError
from djfast_mount.spelling import did_you_mean
from djfast_mount.url_names.names import known_names

__all__ = ["UnknownURL", "reverse"]


class UnknownURL(MountError, NoReverseMatch, NoMatchFound):
    """No endpoint and no view has this name, or none of that name takes these parameters.

    Both frameworks' own exception, so whatever expects either takes it.
    """

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


def reverse(
    viewname: Any,
    urlconf: Any = None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    current_app: str | None = None,
    *,
    query: Any = None,
    fragment: str | None = None,
    **params: Any,
) -> str:
    """Returns the path of an endpoint or a view, with the outer prefix of the request that is being served.

    Takes what Django's `reverse` takes; parameters may be given by their names as well. Asks no database; any thread
    may call it, and the event loop.

    Args:
        viewname: ``"api:item"``, or what Django's `reverse` takes.
        kwargs: The parameters, where one is named as an argument of this function.
        query: Of the URL, as a dict or QueryDict.
        params: The parameters of the path.

    Raises:
        UnknownURL: Neither side knows the name, or the path does not take the parameters. It lists the nearest names.
    """
    parameters = {**(kwargs or {}), **params}
    try:
        return django_reverse(viewname, urlconf, args, parameters or None, current_app, query=query, fragment=fragment)
    except NoReverseMatch as error:
        # A callable is Django's alone, and its own error names it best.
        if not isinstance(viewname, str):
            raise
        raise UnknownURL(_what_is_wrong(viewname, error)) from error


def _what_is_wrong(name: str, error: NoReverseMatch) -> str:
    known = known_names()
    if name in known:
        return f"{error} The name {name!r} is known; give the parameters of its path, in their types."
    meant = did_you_mean(name, known, "manage.py mount_routes lists all names.", most=3)
    return f"Neither a mounted app nor Django's URLconf has the URL name {name!r}. {meant}"
