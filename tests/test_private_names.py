"""Names of other packages that are not public: all are there; and with each of them gone nothing stands open.

The second is tried on packages in which the name has another spelling, so that they go on to work among themselves.

Holds `django_half/private_names.py`.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import query
from django.db.models.fields.files import FieldFile
from django.db.models.sql import Query
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware

from djfast_mount.django_half.private_names import names, tell_what_is_gone
from harness import PYTHONPATH, TESTS

pytestmark = pytest.mark.once


def test_none_of_djangos_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """With the Django and the FastAPI that are installed nothing is told at the start."""
    with caplog.at_level(logging.WARNING, "djfast_mount"):
        tell_what_is_gone()
    assert caplog.text == ""
    assert len(names()) == 9


def test_pytest_tells_the_fixtures_of_a_test(request: pytest.FixtureRequest, root_path: str) -> None:
    """`_fixtureinfo` of a test has its fixtures by name."""
    assert "root_path" in request.node._fixtureinfo.name2fixturedefs
    assert root_path in ("", "/pre")


def test_a_file_tells_whether_it_is_saved() -> None:
    """`_committed` of a file is True until another takes its place."""

    class Holder:
        file = "a.txt"

    field = models.FileField()
    field.attname = field.name = "file"
    assert FieldFile(Holder(), field, "a.txt")._committed is True


def test_a_queryset_tells_what_it_will_do() -> None:
    """The names by which a queryset keeps its prefetches and its rows."""
    rows: Any = query.QuerySet()
    names = ("_fields", "_result_cache", "_iterable_class", "_prefetch_related_lookups", "_known_related_objects")
    assert all(hasattr(rows, name) for name in names)
    assert hasattr(Query(None), "_filtered_relations")
    assert "_prefetched_objects_cache" in inspect.getsource(query)


def test_starlettes_middleware_tells_its_handlers() -> None:
    """ExceptionMiddleware keeps its handlers under these names."""
    middleware: Any = ExceptionMiddleware(Starlette())
    assert {"_exception_handlers", "_status_handlers"} <= vars(middleware).keys()


# Without them -------------------------------------------------------------------------------------------------------

SCRIPT = """
import ast, importlib.machinery, json, logging, re, sys

package, name, renamed = sys.argv[1:]
loader = importlib.machinery.SourceFileLoader
get_code = loader.get_code


class TakesMore(ast.NodeTransformer):
    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        if node.name == name:
            node.args.kwonlyargs.append(ast.arg("one_more"))
            node.args.kw_defaults.append(None)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Call(self, node):
        self.generic_visit(node)
        if getattr(node.func, "id", getattr(node.func, "attr", "")) == name:
            node.keywords.append(ast.keyword("one_more", ast.Constant(None)))
        return node


def get_renamed(self, fullname):
    if fullname.partition(".")[0] == package:
        source = self.get_source(fullname)
        if renamed == "takes more":
            tree = ast.fix_missing_locations(TakesMore().visit(ast.parse(source or "")))
            return compile(tree, self.get_filename(fullname), "exec", dont_inherit=True)
        pattern = r"\\b%s\\b" % re.escape(name)
        if source and re.search(pattern, source):
            return compile(re.sub(pattern, renamed, source), self.get_filename(fullname), "exec", dont_inherit=True)
    return get_code(self, fullname)


loader.get_code = get_renamed

told = []
class Telling(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())
logging.getLogger("djfast_mount").addHandler(Telling())

import asyncio, threading
from django.conf import settings

settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["testserver"], ROOT_URLCONF="urls_of_it", USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware", "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:names?mode=memory&cache=shared",
                           "OPTIONS": {"uri": True}, "ATOMIC_REQUESTS": True}},
)
import types
try:
    from djfast_mount import mount
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path
    from fastapi import Depends, FastAPI
    from fastapi.responses import StreamingResponse
    import django.db
    from django.db.transaction import non_atomic_requests

    def here():
        with django.db.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return threading.current_thread().name

    urls = types.ModuleType("urls_of_it")
    sys.modules["urls_of_it"] = urls
    @non_atomic_requests
    async def later(request):
        return HttpResponse("async")
    urls.urlpatterns = [
        path("sync/", lambda request: HttpResponse(here())), path("async/", later),
        path("stream/", lambda request: StreamingHttpResponse(iter([here()]))),
    ]
    api = FastAPI()
    def dependency():
        yield here()
    @api.get("/def")
    def plain(inner: str = Depends(dependency)):
        return [inner, here()]
    @api.get("/async")
    async def coroutine(inner: str = Depends(dependency)):
        return [inner]
    @api.get("/stream")
    def stream():
        return StreamingResponse(iter([here()]))
    root = mount("/api", api)
except Exception as error:
    print(json.dumps({"refused": type(error).__name__, "message": str(error)}))
    sys.exit()

async def get(where):
    sent, asked = [], []
    async def receive():
        if asked:
            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        sent.append(message)
    await root({"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
                "path": where, "raw_path": where.encode(), "query_string": b"", "root_path": "",
                "headers": [(b"host", b"testserver")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)},
               receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()

answers = {}
for where in ("/sync/", "/async/", "/stream/", "/api/def", "/api/async", "/api/stream"):
    answers[where] = asyncio.run(get(where))
print(json.dumps({"answers": answers, "told": told}))
"""


def run_without(package: str, name: str, renamed: str = "") -> dict[str, Any]:
    """What becomes of a small project whose `package` calls `name` otherwise."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, package, name, renamed or f"_moved{name}"],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


REFUSED = [
    ("asgiref", "_restore_context"),
    ("asgiref", "_rehome"),
    ("asgiref", "_Storage"),
    ("asgiref", "thread_id"),
    ("asgiref", "data"),
    ("asgiref", "_storage"),
    ("asgiref", "_data"),
    ("asgiref", "thread_sensitive_context"),
    ("asgiref", "context_to_thread_executor"),
    ("asgiref", "single_thread_executor"),
    ("anyio", "threadlocals"),
    ("anyio", "set_current_async_library"),
    ("anyio", "_task_states"),
    ("anyio", "AsyncIOBackend"),
    ("starlette", "_next"),
    ("starlette", "_StopIteration"),
]


@pytest.mark.long
@pytest.mark.parametrize(("package", "name"), REFUSED)
def test_the_start_is_refused_without_a_door(package: str, name: str) -> None:
    """Where a request would have no thread of its own, mount() refuses and says which name has moved."""
    found = run_without(package, name)
    assert found.get("refused") == "MountError", found
    assert name in found["message"]
    assert f"Install a version of {package}" in found["message"]


TAKES_MORE = "takes more"  # In the place of another spelling: a parameter more, which the package itself hands over.


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("asgiref", "_restore_context"),
        ("asgiref", "_rehome"),
        ("anyio", "set_current_async_library"),
        ("starlette", "_next"),
    ],
)
def test_the_start_is_refused_where_a_door_takes_more(package: str, name: str) -> None:
    """Where a function takes one argument more, mount() refuses too, and no request is the first to meet it."""
    found = run_without(package, name, TAKES_MORE)
    assert found.get("refused") == "MountError", found
    assert f"{name} that takes 1 argument" in found["message"]


@pytest.mark.long
@pytest.mark.parametrize("package", ["starlette", "fastapi"])
@pytest.mark.parametrize("renamed", ["threads_of_anyio"])
def test_the_start_is_refused_where_a_door_is_called_otherwise(package: str, renamed: str) -> None:
    """Where Starlette or FastAPI reach their threads by another name than `anyio`, mount() refuses."""
    done = run_without(package, "import anyio", f"import anyio as {renamed}; anyio_ = {renamed}")
    assert done.get("refused") in ("MountError", "NameError"), done


SERVED = [
    ("django", "_resource_closers"),
    ("django", "_route"),
    ("django", "_regex"),
    ("django", "_urlconfs"),
    ("django", "_connections"),
    ("django", "_live_receivers"),
    ("django", "_non_atomic_requests"),
    ("fastapi", "_match_low_priority"),
    ("starlette", "_exception_handlers"),
    ("starlette", "_status_handlers"),
]


@pytest.mark.long
@pytest.mark.parametrize(("package", "name"), SERVED)
def test_what_is_speed_is_told_and_everything_is_served(package: str, name: str) -> None:
    """Both halves answer, on threads of the pool, and a line in the log says what is gone."""
    found = run_without(package, name)
    assert "answers" in found, found
    assert {status for status, _ in found["answers"].values()} == {200}, found
    assert all("djfast_mount-" in body for path, (_, body) in found["answers"].items() if path != "/async/"), found
    assert any(name in line for line in found["told"]), found


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "name", "lines"),
    [
        ("django", "create_request", 1),
        ("django", "read_body", 1),
        ("django", "send_response", 1),
        ("django", "load_middleware", 1),
        ("django", "adapt_method_mode", 0),
        ("django", "create_connection", 0),
        ("django", "get_new_connection", 0),
        ("django", "_cursor", 0),
        ("fastapi", "_extract_endpoint_context", 1),
        ("fastapi", "_get_cache_key", 1),
        ("fastapi", "serialize_response", 1),
        ("fastapi", "solve_dependencies", 1),
    ],
)
def test_what_takes_more_is_told_once_and_everything_is_served(package: str, name: str, lines: int) -> None:
    """Both halves answer where a function takes one argument more, with one line in the log where it costs speed."""
    found = run_without(package, name, TAKES_MORE)
    assert "answers" in found, found
    assert {status for status, _ in found["answers"].values()} == {200}, found
    assert [name in line for line in found["told"]] == [True] * lines, found


def test_the_project_is_served_with_all_names() -> None:
    """The small project itself answers, and nothing is told: what the tests above find is the name's doing."""
    found = run_without("django", "_a_name_that_nobody_has")
    assert {status for status, _ in found["answers"].values()} == {200}
    assert found["told"] == []


def test_djangos_connections_tell_what_is_done_with_them() -> None:
    """What a session watches on a connection, `_cursor` among it, is there under these names."""
    names = ("connect", "get_new_connection", "chunked_cursor", "_cursor")
    assert all(callable(getattr(BaseDatabaseWrapper, name)) for name in names)
    assert {"close_at", "health_check_done", "errors_occurred"} <= vars(connections["default"]).keys()
