"""A list of companies with their departments as a resource: by a ModelRouter, by hand, by django-ninja and by DRF.

Each is written as its documentation recommends: relations are prefetched, pages have 100 rows, and three filters are
declared. ModelRouter with ``filters="all"`` has more than 129, the parameters that djfapi makes of such a model.

Every contender is called in this process, without a server. The mounted application is called as a server of ASGI
calls it. Peers have no middleware, and are called twice: through Django's handler for WSGI, where connections are
persistent, and through the one for ASGI, which has a new thread and a new connection for each request.
"""

import asyncio
import io
import sys
from collections.abc import Callable, Iterator
from datetime import date
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import benchmarks.resource_site  # noqa: F401  (sets Django up, which the imports below ask for)

# isort: split
import ninja
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.urls import path
from django_filters.rest_framework import DjangoFilterBackend
from fastapi import FastAPI
from ninja.pagination import LimitOffsetPagination, paginate
from rest_framework import pagination
from rest_framework.generics import ListAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import ModelSerializer

from benchmarks.schemas_served import call
from djfast_mount import mount
from djfast_mount.crud import Cursor, LimitOffset, ModelRouter
from djfast_mount.crud.query.list_query import ListQuery, list_fields
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment

CALLS = 5  # of one contender in a round
FILTERS = "name__icontains=company&status=open&founded__gte=1999-01-01"
"""Filters that every row passes."""
FIELDS = ["id", "name", "slug", "status", "founded", "size", "rating", "listed", "created"]
OF_DEPARTMENTS = ["id", "name", "budget", "size"]

Run = Callable[[str], bytes]
"""Asks for the list with this query CALLS times, and returns the last body."""


class Contender(NamedTuple):
    name: str
    run: Run
    query: str = ""


def on_loop(runner: asyncio.Runner, app: Any, url: str) -> Run:
    async def calls(query: str) -> bytes:
        return [await call(app, url, query) for _ in range(CALLS)][-1]

    return lambda query: runner.run(calls(query))


def by_wsgi(app: Any, url: str) -> Run:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": url, "SCRIPT_NAME": "", "SERVER_NAME": "localhost"}
    environ |= {"SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost", "wsgi.url_scheme": "http"}

    def one(query: str) -> bytes:
        told: list[str] = []
        sent = {**environ, "QUERY_STRING": query, "wsgi.input": io.BytesIO()}
        answer = app(sent, lambda status, headers: told.append(status))
        body = b"".join(answer)
        answer.close()  # as a server does: Django looks after its connections then
        if told != ["200 OK"]:
            raise RuntimeError(f"{told}: {body[:200]!r}")
        return body

    return lambda query: [one(query) for _ in range(CALLS)][-1]


# ModelRouter, and the endpoint that a user would write by hand --------------------------------------------------------


class DepartmentSchema(ModelSchema[CompanyDepartment]):
    class Meta:
        fields = OF_DEPARTMENTS


class CompanySchema(ModelSchema[Company]):
    departments: list[DepartmentSchema]

    class Meta:
        fields = FIELDS


def by_hand() -> list[CompanySchema]:
    return CompanySchema.read(Company.objects.all()[:100])


def filtered_by_hand(
    name__icontains: str | None = None, status: str | None = None, founded__gte: date | None = None
) -> list[CompanySchema]:
    sent = {"name__icontains": name__icontains, "status": status, "founded__gte": founded__gte}
    rows = Company.objects.filter(**{name: value for name, value in sent.items() if value is not None})
    return CompanySchema.read(rows[:100])


def ours(runner: asyncio.Runner) -> Iterator[Contender]:
    def mounted(api: FastAPI) -> Run:
        return on_loop(runner, mount("/api", api, static=False), "/api/companies")

    def routed(router: ModelRouter) -> Run:
        api = FastAPI()
        api.include_router(router)
        return mounted(api)

    for endpoint, query in ((by_hand, ""), (filtered_by_hand, FILTERS)):
        api = FastAPI()
        api.get("/companies")(endpoint)
        yield Contender("endpoint by hand, read()", mounted(api), query)
    for page in (Cursor(), LimitOffset()):
        name = f"ModelRouter, {type(page).__name__}"
        yield Contender(name, routed(ModelRouter(CompanySchema, prefix="/companies", page=page)))
        every = routed(ModelRouter(CompanySchema, prefix="/companies", page=page, filters="all"))
        for query in ("", FILTERS):
            yield Contender(f'{name}, filters="all"', every, query)


def parameters() -> int:
    """How many parameters the list with all filters has, those with ``!`` included."""
    resource = ModelRouter(CompanySchema, prefix="/companies", filters="all").resource
    return len(ListQuery(resource, list_fields(resource)).names)


# The peers ------------------------------------------------------------------------------------------------------------


def of_django(runner: asyncio.Runner, view: Any, url: str) -> dict[str, Run]:
    """A view of Django's, through both of its handlers."""
    urls: Any = ModuleType(f"urls_{id(view)}")
    urls.urlpatterns = [view]
    sys.modules[urls.__name__] = urls

    class Served(ASGIHandler):
        def create_request(self, scope: Any, body_file: Any) -> Any:
            request, error = super().create_request(scope, body_file)
            if request is not None:
                request.urlconf = urls.__name__
            return request, error

    class Threaded(WSGIHandler):
        def get_response(self, request: Any) -> Any:
            request.urlconf = urls.__name__
            return super().get_response(request)

    return {"WSGI": by_wsgi(Threaded(), url), "ASGI": on_loop(runner, Served(), url)}


class DepartmentOut(ninja.ModelSchema):
    class Meta:
        model = CompanyDepartment
        fields = OF_DEPARTMENTS


class CompanyOut(ninja.ModelSchema):
    departments: list[DepartmentOut]

    class Meta:
        model = Company
        fields = FIELDS


class Filters(ninja.FilterSchema):
    name__icontains: str | None = None
    status: str | None = None
    founded__gte: date | None = None


def by_ninja(runner: asyncio.Runner) -> Iterator[Contender]:
    api = ninja.NinjaAPI()

    @api.get("/companies", response=list[CompanyOut])
    @paginate(LimitOffsetPagination)
    def companies(request: Any, filters: Annotated[Filters, ninja.Query()]) -> Any:
        return filters.filter(Company.objects.prefetch_related("departments"))

    for handler, run in of_django(runner, path("ninja/", api.urls), "/ninja/companies").items():
        for query in ("", FILTERS):
            yield Contender(f"django-ninja, FilterSchema, {handler}", run, query)


class DepartmentSerializer(ModelSerializer):  # type: ignore[misc]
    class Meta:
        model = CompanyDepartment
        fields = OF_DEPARTMENTS


class CompanySerializer(ModelSerializer):  # type: ignore[misc]
    departments = DepartmentSerializer(many=True, read_only=True)

    class Meta:
        model = Company
        fields = [*FIELDS, "departments"]


class Pages(pagination.LimitOffsetPagination):  # type: ignore[misc]
    default_limit = 100


class Companies(ListAPIView):  # type: ignore[misc]
    queryset = Company.objects.prefetch_related("departments")
    serializer_class = CompanySerializer
    pagination_class = Pages
    filter_backends = [DjangoFilterBackend]
    filterset_fields = {"name": ["icontains"], "status": ["exact"], "founded": ["gte"]}
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    renderer_classes = [JSONRenderer]


def by_drf(runner: asyncio.Runner) -> Iterator[Contender]:
    view = path("drf/companies", Companies.as_view())
    for handler, run in of_django(runner, view, "/drf/companies").items():
        for query in ("", FILTERS):
            yield Contender(f"DRF, django-filter, {handler}", run, query)
