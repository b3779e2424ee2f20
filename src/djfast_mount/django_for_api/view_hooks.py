"""`process_view` and `process_exception` of the Django middleware around API calls: a dependency of every endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import ValidationException
from fastapi.params import Depends
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from djfast_mount.apis.dependencies import add_dependency
from djfast_mount.django_for_api.middleware_chain import CHAIN, Chain
from djfast_mount.django_for_api.request_layer import http_request
from djfast_mount.django_for_api.responses import DjangoResponse

__all__ = ["call_view_hooks"]


class _EarlyResponse(Exception):
    """A hook has answered in the place of the endpoint."""

    def __init__(self, response: HttpResponseBase) -> None:
        super().__init__(response)
        self.response = response


def call_view_hooks(api: FastAPI | APIRouter) -> None:
    """Has the hooks called around the endpoints of `api`. A second call does nothing."""
    add_dependency(api, Depends(_hooks, scope="function"))
    # An APIRouter that is mounted has a FastAPI around it, which has handlers.
    if isinstance(api, FastAPI) and _EarlyResponse not in api.exception_handlers:
        api.add_exception_handler(_EarlyResponse, _sent)
        api.middleware_stack = None  # It holds the handlers that were there when it was built, and is built anew.


async def _sent(request: Request, error: Any) -> Response:
    return DjangoResponse(error.response)


async def _hooks(connection: HTTPConnection) -> AsyncIterator[None]:
    chain: Chain | None = connection.scope.get(CHAIN)
    if chain is None:
        yield
        return
    request: Any = http_request(connection)
    scope = connection.scope
    endpoint, arguments = scope["endpoint"], scope.get("path_params", {})
    request.resolver_match = _match(scope, endpoint, arguments)
    response = await chain.before_view(request, endpoint, arguments)
    if response is not None:
        raise _EarlyResponse(response)
    try:
        yield
    except (HTTPException, ValidationException, _EarlyResponse):
        raise  # These are answers, not failures.
    except Exception as error:
        response = await chain.on_error(request, error)
        if response is None:
            raise
        raise _EarlyResponse(response) from error


def _match(scope: Any, endpoint: Any, arguments: dict[str, Any]) -> ResolverMatch:
    route = scope.get("route")
    path = getattr(route, "path_format", None) or scope["path"]
    return ResolverMatch(endpoint, (), arguments, url_name=getattr(route, "name", None), route=path.lstrip("/"))
