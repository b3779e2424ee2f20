"""The errors of `mount()` and of djfast_mount.auth in a FastAPI's schema, beside those that FastAPI puts there.

1. What an app, a router or a route says of a status itself stays.
2. The schema that the app keeps is never changed: what is served is a copy with the errors in it.
3. `openapi()` stays FastAPI's, or the app's own: the errors are put into what it returns.
4. The schema is in the language of the site: FastAPI keeps it for everybody, whoever asks first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.utils import translation
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from djfast_mount.auth.permission_names import permissions_asked_by
from djfast_mount.auth.schemes import Scheme, authenticated, chosen_schemes
from djfast_mount.auth.user_dependencies import current_user, staff_user, superuser
from djfast_mount.conf import option
from djfast_mount.django_for_api.request_layer import get_request

__all__ = ["add_error_responses"]

_SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}  # as Django's CSRF check has it
_DETAIL = {"title": "Detail", "type": "string"}
_SHAPE = {"title": "Error", "type": "object", "properties": {"detail": _DETAIL}, "required": ["detail"]}
_PROBLEM = {
    "title": "Problem",
    "type": "object",
    "properties": {
        "type": {"title": "Type", "type": "string"},
        "title": {"title": "Title", "type": "string"},
        "status": {"title": "Status", "type": "integer"},
        "detail": _DETAIL,
    },
    "required": ["type", "title", "status"],
}


def add_error_responses(api: FastAPI, *, limits_bodies: bool) -> None:
    """Has the schema of `api` name the errors that its operations can be answered with. A second call changes nothing.

    Args:
        limits_bodies: Whether a body can be too large.
    """
    if isinstance(api.openapi, _InOneLanguage):
        return
    kind = _WithErrors if option("error_responses") else _InOneLanguage
    api.openapi = kind(api, api.openapi, limits_bodies)  # type: ignore[method-assign]


class _InOneLanguage:
    """What stands in for `openapi()` of a FastAPI, which an app may replace (FastAPI's "Extending OpenAPI")."""

    def __init__(self, api: FastAPI, openapi: Callable[[], dict[str, Any]], limits_bodies: bool) -> None:
        self._api = api
        self._openapi = openapi
        self._limits_bodies = limits_bodies

    def __call__(self) -> dict[str, Any]:
        with translation.override(settings.LANGUAGE_CODE):
            return self._openapi()


class _WithErrors(_InOneLanguage):
    """It, with the errors in what it returns."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._of: dict[str, Any] | None = None
        self._made: dict[str, Any] = {}

    def __call__(self) -> dict[str, Any]:
        schema = super().__call__()
        # FastAPI keeps the schema that it has made, so that identity tells whether it is a new one.
        if self._of is not schema:
            self._made = copy.deepcopy(schema)
            for context in iter_route_contexts(self._api.routes):
                if isinstance(context.original_route, APIRoute) and context.include_in_schema:
                    self._add(self._made.get("paths", {}).get(context.path_format, {}), context)
            self._of = schema
        return self._made

    def _add(self, item: dict[str, Any], context: Any) -> None:
        calls = list(_calls(context.dependant))
        for method in context.methods:
            operation = item.get(method.lower())
            if operation is None:
                continue
            responses = operation.setdefault("responses", {})
            for status, response in self._errors(operation, method, context.path_format, calls):
                # OpenAPI has ranges (`4XX`). A project that describes all of them has said what it means.
                if f"{status[0]}XX" not in responses:
                    responses.setdefault(status, response)

    def _errors(
        self, operation: dict[str, Any], method: str, path: str, calls: list[Any]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        has_body = "requestBody" in operation
        # A control character in the path, a query that is no UTF-8, a body that cannot be parsed.
        if has_body or "{" in path or get_request in calls or authenticated in calls:
            yield "400", {"description": "The path, the query or the body cannot be read"}
        if _asks_for_user(calls):
            yield "401", _described("Not authenticated")
        if _may_forbid(method, calls):
            yield "403", _described("Forbidden")
        if has_body and self._limits_bodies:
            yield "413", {"description": "The body is too large"}
        yield "503", {"description": "No thread, or no database, in time: try again"}


def _described(description: str) -> dict[str, Any]:
    kind, shape = ("application/problem+json", _PROBLEM) if option("problem_details") else ("application/json", _SHAPE)
    return {"description": description, "content": {kind: {"schema": copy.deepcopy(shape)}}}


def _calls(dependant: Dependant) -> Iterator[Any]:
    for below in dependant.dependencies:
        yield below.call
        yield from _calls(below)


def _asks_for_user(calls: list[Any]) -> bool:
    """Whether there is a 401: for nobody, or for a credential that is wrong."""
    if current_user in calls or any(isinstance(call, Scheme) for call in calls):
        return True
    return authenticated in calls and not all(scheme.ambient for scheme in chosen_schemes())


def _may_forbid(method: str, calls: list[Any]) -> bool:
    """Whether there is a 403: for the wrong user, or by the CSRF check."""
    if any(call in (staff_user, superuser) or permissions_asked_by(call) for call in calls):
        return True
    schemes = [call for call in calls if isinstance(call, Scheme)]
    schemes += chosen_schemes() if authenticated in calls else ()
    # The CSRF check is for credentials that a browser sends by itself.
    return method not in _SAFE and any(scheme.ambient for scheme in schemes)
