"""What caches are told of the answers to GET.

1. An answer that depends on the caller names, in Vary, the headers that say who calls (RFC 9110, section 12.5.5).
2. It is for the cache of this caller alone (`private`; RFC 9111, section 5.2.2.7), unless the project says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security.base import SecurityBase

from djfast_mount.crud.declaring.resource import Resource

__all__ = ["cache_headers"]

# Each of them says who may keep an answer. RFC 9111, section 3.5, names those that open one to shared caches.
_SAY_WHO = {"private", "public", "no-store", "s-maxage"}


def cache_headers(resource: Resource) -> dict[str, str]:
    """Returns the headers of answers to GET: Cache-Control, if the router has one, and Vary, if it asks who calls."""
    found: dict[str, str] = {}
    if resource.cache_control is not None:
        found["Cache-Control"] = _for_whom(resource.cache_control, resource)
    if resource.caller is not None and (vary := headers_read(resource.caller)):
        found["Vary"] = ", ".join(vary)
    return found


def headers_read(dependency: Callable[..., Any]) -> list[str]:
    """Returns the names of the headers that `dependency` reads, by parameters or by security schemes, at any depth."""
    names = _names(get_dependant(path="/", call=dependency))
    return list({name.lower(): name for name in names}.values())


def _for_whom(cache_control: str, resource: Resource) -> str:
    directives = {each.partition("=")[0].strip().lower() for each in cache_control.split(",")}
    return cache_control if resource.caller is None or directives & _SAY_WHO else f"private, {cache_control}"


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (each.alias for each in dependant.header_params)
    if dependant.cookie_params:
        yield "Cookie"
    call: Any = dependant.call
    # Schemes of `djfast_mount.auth` say it themselves.
    if isinstance(vary := getattr(call, "vary", None), tuple):
        yield from vary
    elif isinstance(call, SecurityBase):
        yield from _of_scheme(call)
    for below in dependant.dependencies:
        yield from _names(below)


def _of_scheme(scheme: SecurityBase) -> Iterator[str]:
    model = scheme.model
    if not isinstance(model, APIKey):
        yield "Authorization"
    elif model.in_ is not APIKeyIn.query:
        yield "Cookie" if model.in_ is APIKeyIn.cookie else model.name
