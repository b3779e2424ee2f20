"""How the routes of a resource stand in OpenAPI: summaries, scopes, headers and the answers that are no success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, GetCoreSchemaHandler

from djfast_mount.crud.access.scopes import WRITES, Action
from djfast_mount.crud.declaring.resource import Resource

__all__ = ["description_of", "headers_of", "made_later", "responses_of", "summary_of"]

_ERROR = {
    "application/json": {
        "schema": {"type": "object", "properties": {"detail": {}}},
    },
    "application/problem+json": {"schema": {"type": "object"}},
}
_HEADERS = {
    "Prefer": "`return=minimal` for an answer without a body, `count=exact` for a list with its total (RFC 7240).",
    "If-Match": "The ETag of the row as the client knows it: 412 where it has been changed since.",
    "If-None-Match": "The ETag of the row as the client knows it: 304 where it is the same still.",
}
_SUMMARIES = {
    "list": "List {plural}",
    "aggregate": "Count and sum {plural}",
    "create": "Create a {one}",
    "read": "Read a {one}",
    "update": "Change a {one}",
    "replace": "Replace a {one}",
    "delete": "Delete a {one}",
}


def summary_of(resource: Resource, action: Action, *, several: bool) -> str:
    """Returns one line for people."""
    one, plural = (str(name) for name in (resource.model._meta.verbose_name, resource.model._meta.verbose_name_plural))
    if several:
        return f"{'Create' if action == 'create' else 'Change'} several {plural}"
    text = _SUMMARIES[action].format(one=one, plural=plural)
    return text.replace(" a ", " an ", 1) if one[:1].lower() in "aeiou" else text


def description_of(resource: Resource, action: Action) -> str:
    """Returns what else there is to know: the scopes that are needed, and what a list leaves out."""
    told = []
    wanted = resource.wanted_scopes(action) if resource.caller is not None else ()
    if wanted:
        told.append(f"Scopes: {', and '.join(' or '.join(f'`{each}`' for each in scopes) for scopes in wanted)}")
    if resource.permissions is not None:
        told.append(f"Permission: `{resource.permission(action)}`")
    if action in ("list", "aggregate") and resource.filters.parameters:
        told.append("An exclamation mark before the name of a filter, `!name=a`, asks for its opposite.")
    if action in ("list", "aggregate") and resource.deletion.fields:
        names = ", ".join(sorted(resource.deletion.fields))
        told.append(f"Deleted ones are left out, unless there is a filter of {names}.")
    return "\n\n".join(told)


def headers_of(*names: str) -> dict[str, Any]:
    """Returns the parameters of an operation that are read from headers."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": _HEADERS[name],
                "schema": {"type": "string"},
            }
            for name in names
        ]
    }


def responses_of(resource: Resource, action: Action, *, alone: bool) -> dict[int | str, dict[str, Any]]:
    """Returns the answers that are no success.

    Args:
        alone: Whether the path names a row.
    """
    found = {**_of_the_caller(resource, action), **_of_the_request(resource, action, alone)}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": told, "content": _ERROR} for status, told in sorted(found.items())
    }
    if action == "read":
        described[304] = {"description": "The row is the same as the client has."}
    if action in ("update", "replace"):
        # For `Prefer: return=minimal` (RFC 7240, section 4.2).
        described[204] = {"description": "It is done, and the client prefers no body."}
    return described


def _of_the_caller(resource: Resource, action: Action) -> dict[int, str]:
    forbidden = "The caller may not do this."
    if resource.caller is not None:
        return {401: "Nobody is known to call.", 403: forbidden}
    # Rules of any row that a body names, guarded fields and a hook may forbid a write to anybody.
    return {403: forbidden} if action in WRITES else {}


def _of_the_request(resource: Resource, action: Action, alone: bool) -> dict[int, str]:
    found: dict[int, str] = {}
    if action in ("list", "aggregate"):
        # FastAPI adds it where it reads parameters itself.
        found[422] = "A parameter is not valid, or there is none of its name."
    if alone or resource.parent is not None:
        found[404] = "There is no such row that the caller may see."
    if action in WRITES:
        found |= {400: "The body is no JSON.", 409: "A constraint of the database is violated."}
    if resource.form and action in resource.bodies:
        found[415] = "The body is of another format than a form, or for several rows than JSON."
    elif action == "update":
        found[415] = "The body is a patch of another format than JSON."
    if alone and action in WRITES and resource.if_match != "off":
        found[412] = "The row has been changed since."
    if alone and action in WRITES and resource.if_match == "required":
        found[428] = "If-Match is missing."
    return found


def made_later(make: Callable[[], Any]) -> Any:
    """Returns a type that is to OpenAPI what `make` returns, which is called when the document is made.

    Building the answers of every route would be half of what a router costs at the start.
    """

    class MadeLater:
        # FastAPI hands the type to a TypeAdapter, which asks types that are no models for their configuration here.
        __pydantic_config__ = ConfigDict(defer_build=True)

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
            return handler.generate_schema(make())

    return MadeLater
