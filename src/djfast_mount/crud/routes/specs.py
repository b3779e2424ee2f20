"""The routes of a resource: what each takes, what it answers, and how it stands in OpenAPI.

An endpoint's signature is made from the resource, for FastAPI to read; its body is a few lines over the modules beside.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal

from asgiref.sync import sync_to_async
from fastapi import Depends
from pydantic import TypeAdapter
from starlette.responses import Response

from djfast_mount.crud.access.call import Call, listed_twice
from djfast_mount.crud.access.call_dependency import CallOf
from djfast_mount.crud.access.scopes import Action
from djfast_mount.crud.declaring.options import RouterOptions
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.pages.listing import Listing
from djfast_mount.crud.query.aggregation import Aggregation, Function
from djfast_mount.crud.query.list_query import ListQuery, list_fields
from djfast_mount.crud.routes.body_parameters import (
    body_of,
    bulk_body_of,
    format_check,
    receive,
    takes_several,
)
from djfast_mount.crud.routes.descriptions import description_of, headers_of, made_later, responses_of, summary_of
from djfast_mount.crud.routes.operation_ids import named
from djfast_mount.crud.routes.representation import (
    read_response,
    read_rows,
    told_to_caches,
    told_to_schemas,
    written_response,
)
from djfast_mount.crud.writing import writes
from djfast_mount.schemas.pages import Page

__all__ = ["RouteSpec", "routes_of"]

Parameters = dict[str, Any]


@dataclass
class RouteSpec:
    """One route, as `APIRouter.add_api_route` takes it. Its kind is what ``without=`` calls it."""

    path: str
    method: str
    kind: str
    endpoint: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)


def routes_of(resource: Resource, options: RouterOptions) -> Iterator[RouteSpec]:
    """Yields the routes of `resource`, whose router has these `options`.

    Endpoints that are coroutines have their work done on the request thread all the same.
    """
    wanted = options.get("aggregate", True)
    fields = None if wanted is True else wanted or ()
    aggregation = Aggregation(resource, fields, options.get("group_by")) if wanted else None
    asynchronous = options.get("asynchronous", False)
    for spec in _Routes(resource, options.get("document_filters", True)).all(aggregation):
        run = spec.endpoint
        if asynchronous:
            spec.endpoint = _as_coroutine(run)
        yield spec
        if spec.method == "GET":
            # Not beside GET in one route: the two would share an operation id.
            # RFC 9110, section 9.3.2: what GET would have sent, headers included, so it runs the same function.
            head = _headed(run)
            endpoint = _as_coroutine(head) if asynchronous else head
            yield RouteSpec(
                spec.path, "HEAD", spec.kind, endpoint, {"include_in_schema": False, "name": spec.options["name"]}
            )


class _Later(Mapping[str, Any]):
    """What OpenAPI says of a route besides: made when it is asked for, which most processes never do."""

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = cache(make)

    def __getitem__(self, key: str) -> Any:
        return self._make()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())


class _Routes:
    def __init__(self, resource: Resource, documented: bool) -> None:
        self._resource = resource
        self._documented = documented
        above = [parent.name for parent in resource.parents()]
        self._one = "_".join((*above, resource.name))
        self._many = "_".join((*above, resource.plural))
        self._row = "".join(f"/{{{key.parameter}}}" for key in resource.keys)
        self._keys = {key.parameter: key.type for key in resource.keys}
        self._row_answer = made_later(lambda: resource.schema)

    def all(self, aggregation: Aggregation | None) -> Iterator[RouteSpec]:
        bodies = self._resource.bodies
        yield self._list()
        if aggregation is not None:
            yield self._aggregate(aggregation)
        if "create" in bodies:
            yield self._create()
            if takes_several(self._resource):
                yield self._create_many()
        # A header names no row of a list, so a change of several rows could not be held to their tags.
        if "update" in bodies and self._resource.if_match != "required":
            yield self._update_many()
        yield self._read()
        if "replace" in bodies:
            yield self._replace()
        if "update" in bodies:
            yield self._update()
        if self._resource.deletes:
            yield self._delete()

    def _list(self) -> RouteSpec:
        # Made with the first request or the first look at OpenAPI: most processes never do the latter, and a start pays
        # for every route.
        query = cache(lambda: ListQuery(self._resource, list_fields(self._resource), documented=self._documented))

        def run(call: Call) -> Response:
            with told_to_schemas(call):
                return Listing(call, query().values(call.request)).response()

        extra = _Later(lambda: {"parameters": [*query().parameters(), *headers_of("Prefer")["parameters"]]})
        options = {"response_model": made_later(lambda: _page_of(self._resource.schema)), "openapi_extra": extra}
        return self._spec("list", "", "GET", f"list_{self._many}", run, {}, options)

    def _aggregate(self, aggregation: Aggregation) -> RouteSpec:
        shown = self._documented
        query = cache(lambda: ListQuery(self._resource, aggregation.query_fields(filters=shown), documented=shown))
        answer = cache(lambda: aggregation.answer_model(self._model_name()))

        def run(call: Call, function: Function, field: str) -> Response:
            listing = Listing(call, query().values(call.request))
            found = answer().model_validate(
                {"values": aggregation.values(call, listing.rows(), listing.values, function, field)}
            )
            # Groups that were not asked for are unset, not null: null is a group of its own.
            body = found.model_dump_json(by_alias=True, exclude_unset=True)
            return Response(body, 200, media_type="application/json")

        path = {"function": Function, "field": Literal[tuple(aggregation.fields)]}
        options = {
            "response_model": made_later(answer),
            "openapi_extra": _Later(lambda: {"parameters": query().parameters()}),
        }
        where = "/aggregate/{function}/{field}"
        return self._spec("aggregate", where, "GET", f"aggregate_{self._many}", run, path, options)

    def _create(self) -> RouteSpec:
        def run(call: Call, body: Any) -> Response:
            receive(call, body)
            with told_to_schemas(call), writes.transaction_of(call):
                [row] = writes.create(call, [body])
                return written_response(call, row, 201)

        takes = {"body": body_of(self._resource, "create")}
        options = {"response_model": self._row_answer, "status_code": 201, "openapi_extra": headers_of("Prefer")}
        return self._spec("create", "", "POST", f"create_{self._one}", run, takes, options)

    def _create_many(self) -> RouteSpec:
        def run(call: Call, body: Any) -> Response:
            with told_to_schemas(call), writes.transaction_of(call):
                return _several(call, writes.create(call, body, several=True), 201)

        takes = {"body": bulk_body_of(self._resource, "create")}
        options = {"response_model": made_later(lambda: _list_of(self._resource.schema)), "status_code": 201}
        return self._spec("create", "/bulk", "POST", f"bulk_create_{self._many}", run, takes, options, "bulk-create")

    def _update_many(self) -> RouteSpec:
        def run(call: Call, body: Any) -> Response:
            with told_to_schemas(call), writes.transaction_of(call):
                return _several(call, writes.change_many(call, body), 200)

        takes = {"body": bulk_body_of(self._resource, "update")}
        options = {"response_model": made_later(lambda: _list_of(self._resource.schema))}
        return self._spec("update", "", "PATCH", f"bulk_update_{self._many}", run, takes, options, "bulk-update")

    def _read(self) -> RouteSpec:
        def run(call: Call, **keys: Any) -> Response:
            with told_to_schemas(call):
                row = call.find(keys)
                writes.check_row_permission(call, row)
                return read_response(call, row)

        options = {"response_model": self._row_answer, "openapi_extra": headers_of("If-None-Match")}
        return self._spec("read", self._row, "GET", f"read_{self._one}", run, self._keys, options, "detail")

    def _update(self) -> RouteSpec:
        def run(call: Call, body: Any, **keys: Any) -> Response:
            receive(call, body)
            with told_to_schemas(call), writes.transaction_of(call):
                return written_response(call, writes.change(call, keys, body), 200)

        return self._change("update", "PATCH", run)

    def _replace(self) -> RouteSpec:
        def run(call: Call, body: Any, **keys: Any) -> Response:
            receive(call, body)
            with told_to_schemas(call), writes.transaction_of(call):
                return written_response(call, writes.change(call, keys, body, whole=True), 200)

        return self._change("replace", "PUT", run)

    def _change(self, action: Action, method: str, run: Callable[..., Response]) -> RouteSpec:
        takes = {**self._keys, "body": body_of(self._resource, action)}
        options = {"response_model": self._row_answer, "openapi_extra": headers_of("If-Match", "Prefer")}
        return self._spec(action, self._row, method, f"{action}_{self._one}", run, takes, options)

    def _delete(self) -> RouteSpec:
        def run(call: Call, **keys: Any) -> Response:
            # The caller is told to schemas here too: the tag is that of the row as this one reads it.
            with told_to_schemas(call), writes.transaction_of(call):
                writes.delete(call, keys)
            return Response(None, 204)

        options: dict[str, Any] = {"status_code": 204, "openapi_extra": headers_of("If-Match")}
        return self._spec("delete", self._row, "DELETE", f"delete_{self._one}", run, self._keys, options)

    def _spec(
        self,
        action: Action,
        path: str,
        method: str,
        operation_id: str,
        run: Callable[..., Response],
        takes: Parameters,
        options: dict[str, Any],
        name: str | None = None,
    ) -> RouteSpec:
        if method == "GET":
            run = told_to_caches(self._resource, run)
        several = "bulk" in (name or "")
        check = format_check(self._resource, action, several=several) if "body" in takes else None
        call = Annotated[Call, Depends(CallOf(self._resource, action, check))]
        endpoint = _endpoint(operation_id, run, {"call": call, **takes})
        described = {
            "generate_unique_id_function": named(operation_id),
            "name": f"{self._one.replace('_', '-')}-{name or action}",
            "summary": summary_of(self._resource, action, several=several),
            "description": description_of(self._resource, action),
            "responses": responses_of(self._resource, action, alone=path == self._row),
        }
        return RouteSpec(path, method, name or action, endpoint, {**described, **options})

    def _model_name(self) -> str:
        return "".join(part.title() for part in self._one.split("_"))


def _several(call: Call, rows: list[Any], status: int) -> Response:
    # A hook may return one row for several bodies.
    keys = list(dict.fromkeys(row.pk for row in rows))
    items = read_rows(call, rows)
    if len(items) > len(keys):
        raise listed_twice(call.resource)
    # A bulk change may name its rows in any order and answers in that one.
    found = dict(zip(keys, items, strict=True))
    body = TypeAdapter(_list_of(call.resource.schema)).dump_json([found[row.pk] for row in rows], by_alias=True)
    return Response(body, status, media_type="application/json")


def _list_of(schema: Any) -> Any:
    return list[schema]


def _page_of(schema: Any) -> Any:
    return Page[schema]


def _endpoint(name: str, run: Callable[..., Response], takes: Parameters) -> Callable[..., Response]:
    def endpoint(**sent: Any) -> Response:
        return run(**sent)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(each, keyword, annotation=kind) for each, kind in takes.items()]
    # FastAPI names models and operations by it, and tracebacks and logs of the site name the endpoint.
    endpoint.__name__ = endpoint.__qualname__ = name
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return endpoint


def _as_coroutine(endpoint: Callable[..., Response]) -> Callable[..., Any]:
    async def coroutine(**sent: Any) -> Response:
        # In one go: transactions are synchronous in Django.
        return await sync_to_async(endpoint)(**sent)

    return _like(coroutine, endpoint)


def _headed(endpoint: Callable[..., Response]) -> Callable[..., Response]:
    def head(**sent: Any) -> Response:
        answer = endpoint(**sent)
        return Response(None, answer.status_code, dict(answer.headers))

    return _like(head, endpoint)


def _like(made: Any, endpoint: Any) -> Callable[..., Any]:
    made.__name__ = made.__qualname__ = endpoint.__name__
    made.__signature__ = endpoint.__signature__
    found: Callable[..., Any] = made
    return found
