"""Django's exceptions, raised in endpoints of a mounted FastAPI.

Holds `exception_handlers/database_errors.py`, `exception_handlers/integrity_errors.py` and
`exception_handlers/unencodable.py`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    ValidationError,
)
from django.core.signals import got_request_exception
from django.db import IntegrityError, InternalError, OperationalError, connection, transaction
from django.http import Http404
from django.shortcuts import get_object_or_404
from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

from api_client import ApiClient, both, committed_rows
from calls import websocket
from djfast_mount import mount
from djfast_mount.exception_handlers import add_exception_handlers
from project.library.models import Author, Book
from project.shop.models import Item

SECRET = "the secret of the house"


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def author() -> Author:
    return Author.objects.get_or_create(name="Woolf")[0]


def book(**values: Any) -> Book:
    return Book.objects.create(**{"title": "Orlando", "author": author(), "pages": 1, **values})


def dangling_reference() -> None:
    with transaction.atomic():
        Book.objects.create(title="Flush", author_id=0, pages=1)


def twice(make: Callable[[], Any]) -> Callable[[], None]:
    def write() -> None:
        make()
        make()

    return write


def protected() -> None:
    owner = User.objects.create(username="owner")
    book(owner=owner)
    owner.delete()


def write_read_only() -> None:
    """What a standby says after a failover, or SQLite of a file that it may not write."""
    is_sqlite = connection.vendor == "sqlite"
    with transaction.atomic():
        connection.cursor().execute("PRAGMA query_only = ON" if is_sqlite else "SET LOCAL transaction_read_only = on")
        try:
            Author.objects.create(name="Sand")
        finally:
            if is_sqlite:
                connection.connection.execute("PRAGMA query_only = OFF")


FAILURES: dict[str, Callable[[], Any]] = {
    "http404": raising(Http404(SECRET)),
    "shortcut": lambda: get_object_or_404(Item, id=0),
    "does-not-exist": lambda: Item.objects.get(id=0),
    "denied": raising(PermissionDenied(SECRET)),
    "bad": raising(BadRequest(SECRET)),
    "suspicious": raising(SuspiciousOperation(SECRET)),
    "too-big": raising(RequestDataTooBig(SECRET)),
    "too-many": raising(TooManyFieldsSent(SECRET)),
    "not-implemented": raising(NotImplementedError(SECRET)),
    "boom": raising(RuntimeError(SECRET)),
    "value": raising(ValueError(SECRET)),
    "clean": lambda: Book(title="untitled", author=author(), pages=1).full_clean(),
    "fields": lambda: Book(title="x" * 21, author=author()).full_clean(),
    "message": raising(ValidationError("Not today.", code="closed")),
    "nested": raising(ValidationError({"address.city": ["No such city."]})),
    "unique": twice(lambda: Author.objects.create(name="Sand")),
    "unique-together": twice(book),
    "unique-partial": lambda: [book(title=title, draft=True) for title in ("The Waves", "The Years")],
    "check": lambda: book(pages=0),
    "not-null": lambda: Book.objects.create(title="Flush", author=author()),
    "foreign-key": dangling_reference,
    "protected": protected,
    "number": lambda: Item.objects.create(id=2**63),
    "no-table": lambda: connection.cursor().execute("SELECT * FROM no_such_table"),
    "outage": raising(OperationalError(SECRET)),
    "read-only": write_read_only,
    "internal": raising(InternalError(SECRET)),
}

api = FastAPI()
inner = FastAPI()
router = APIRouter(prefix="/included/{shelf}")


@both(api, "GET", "/fail/{name}")
def fail(name: str) -> None:
    FAILURES[name]()


@both(inner, "GET", "/fail/{name}")
def fail_inside(name: str) -> None:
    FAILURES[name]()


@router.get("/fail/{name}")
async def fail_included(shelf: int, name: str) -> None:
    FAILURES[name]()


@api.websocket("/ws/{name}")
async def fail_in_websocket(websocket: WebSocket, name: str) -> None:
    await websocket.accept()
    raise ERRORS[name]


# One of each handler.
ERRORS: dict[str, Exception] = {
    name: kind(SECRET)
    for name, kind in {
        "http404": Http404,
        "denied": PermissionDenied,
        "invalid": ValidationError,
        "bad": BadRequest,
        "suspicious": SuspiciousOperation,
        "conflict": IntegrityError,
        "outage": OperationalError,
        "not-implemented": NotImplementedError,
        "value": ValueError,
        "boom": RuntimeError,
    }.items()
}


@api.get("/half")
def half() -> StreamingResponse:
    def body() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError(SECRET)

    return StreamingResponse(body())


class Numbers(BaseModel):
    numbers: list[float]
    text: str = ""


@api.post("/numbers")
def numbers(body: Numbers) -> int:
    return len(body.numbers)


@api.post("/anything")
def anything(body: dict[str, Any]) -> dict[str, Any]:
    return body


@api.post("/by-hand")
async def by_hand(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


@both(api, "POST", "/items")
def add_item(name: Any) -> int:
    return Item.objects.create(name=name).pk


@both(api, "POST", "/store")
def store(body: dict[str, Any]) -> int:
    return Item.objects.create(name=body["name"]).pk


api.include_router(router)
api.mount("/inner", inner)
app = mount("/api", api)


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture
def client(root_path: str) -> ApiClient:
    return ApiClient(app, root_path)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def failing(client: ApiClient, kind: str) -> Callable[..., Any]:
    def ask(name: str, **options: Any) -> Any:
        return client.get(f"/api/{kind}/fail/{name}", **options)

    return ask


ANSWERS = {
    "http404": (404, "Not Found"),
    "shortcut": (404, "Not Found"),
    "does-not-exist": (404, "Not Found"),
    "denied": (403, "Forbidden"),
    "bad": (400, "Bad Request"),
    "suspicious": (400, "Bad Request"),
    "too-many": (400, "Bad Request"),
    "not-implemented": (501, "Not Implemented"),
    "outage": (503, "Service Unavailable"),
    "boom": (500, "Internal Server Error"),
    "value": (500, "Internal Server Error"),
    "no-table": (500, "Internal Server Error"),
    "read-only": (503, "Service Unavailable"),
    "internal": (500, "Internal Server Error"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_exception_has_its_status_and_tells_nothing(failing: Callable[..., Any], name: str) -> None:
    """An exception is answered by its status and the words for that, in JSON, without a word of its message."""
    answer = failing(name)
    status, detail = ANSWERS[name]
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert answer.headers["content-type"] == "application/json"


def test_a_body_that_is_too_big_is_413(failing: Callable[..., Any]) -> None:
    """RequestDataTooBig, which Django answers by 400, has the status of its own."""
    answer = failing("too-big")
    assert answer.status_code == 413
    assert SECRET not in answer.text


def test_an_outage_says_when_to_come_back(failing: Callable[..., Any]) -> None:
    """A 503 has a Retry-After."""
    assert failing("outage").headers["retry-after"] == "1"


def test_debug_tells_the_message(failing: Callable[..., Any], settings: Any) -> None:
    """In DEBUG, a 404 says which object there is none of."""
    settings.DEBUG = True
    assert failing("shortcut").json() == {"detail": "No Item matches the given query."}


# Validation -------------------------------------------------------------------------------------------------------


def test_a_validation_error_names_the_fields(failing: Callable[..., Any]) -> None:
    """A model's ValidationError is a 422 of FastAPI's shape, with a path for each field."""
    answer = failing("fields")
    assert answer.status_code == 422
    errors = {tuple(error["loc"]): (error["type"], error["msg"]) for error in answer.json()["detail"]}
    assert errors == {
        ("body", "title"): ("max_length", "Ensure this value has at most 20 characters (it has 21)."),
        ("body", "pages"): ("null", "This field cannot be null."),
    }


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("clean", {"type": "untitled", "loc": ["body"], "msg": "A book needs a title."}),
        ("message", {"type": "closed", "loc": ["body"], "msg": "Not today."}),
        ("nested", {"type": "value_error", "loc": ["body", "address", "city"], "msg": "No such city."}),
    ],
)
def test_a_validation_error_without_a_field(failing: Callable[..., Any], name: str, error: dict[str, Any]) -> None:
    """An error of the whole points at the body; a dotted name at what lies in it."""
    answer = failing(name)
    assert (answer.status_code, answer.json()) == (422, {"detail": [error]})


# Constraints ------------------------------------------------------------------------------------------------------

CONFLICTS = {
    "unique-together": ("unique", "one_title_per_author", ["author", "title"]),
    "unique-partial": ("unique", "one_draft_per_author", ["author"]),
    "check": ("check", "book_has_pages", []),
    "not-null": ("not_null", None, ["pages"]),
    "protected": ("protected", None, []),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_broken_constraint_is_named(failing: Callable[..., Any], name: str) -> None:
    """An IntegrityError is a 409 with the constraint's name and fields, the same on every database."""
    answer = failing(name)
    assert answer.status_code == 409
    found = answer.json()
    assert (found["code"], found["constraint"], sorted(found["fields"])) == CONFLICTS[name]
    assert "Orlando" not in answer.text


def test_a_unique_field_is_named(failing: Callable[..., Any]) -> None:
    """A field that is unique by itself is named, and the constraint as the database calls it."""
    found = failing("unique").json()
    assert (found["code"], found["fields"]) == ("unique", ["name"])
    name = "library_author.name" if connection.vendor == "sqlite" else "library_author_name_key"
    assert found["constraint"] == name
    assert found["detail"] == "There is such an object already."


def test_a_dangling_reference_is_a_conflict(failing: Callable[..., Any]) -> None:
    """A foreign key that leads nowhere, which the commit finds out, is a 409."""
    answer = failing("foreign-key")
    assert (answer.status_code, answer.json()["code"]) == (409, "foreign_key")
    if connection.vendor == "postgresql":
        assert answer.json()["fields"] == ["author"]


def test_a_constraint_has_its_own_message(failing: Callable[..., Any]) -> None:
    """The message that a model gives a constraint for users is the answer's."""
    assert failing("unique-partial").json()["detail"] == "Finish the other draft first."


@pytest.mark.parametrize(
    "values", [{"name": "\0"}, {"name": "x" * 101}, {"name": "\ud800"}], ids=["nul", "too long", "surrogate"]
)
def test_a_value_that_does_not_fit_is_422(client: ApiClient, kind: str, values: dict[str, str]) -> None:
    """What the database cannot store is the client's fault: SQLite stores some of it, PostgreSQL nothing."""
    answer = client.post(f"/api/{kind}/store", content=json.dumps(values), headers=JSON)
    if connection.vendor == "postgresql" or values["name"] == "\ud800":
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["type"] == "value_error"
    else:
        assert answer.status_code == 200


def test_a_nul_in_the_query_is_422(client: ApiClient, kind: str) -> None:
    """A NUL that comes by the query is no server's error either."""
    status = client.post(f"/api/{kind}/items?name=%00").status_code
    assert status == (422 if connection.vendor == "postgresql" else 200)


def test_a_number_beyond_the_column_is_422(failing: Callable[..., Any]) -> None:
    """A number that is too large for its column, which SQLite's driver calls an OverflowError, is a 422."""
    answer = failing("number")
    assert answer.json() == {"detail": [{"type": "value_error", "loc": [], "msg": "A number is out of range."}]}
    assert answer.status_code == 422


# Odd JSON ---------------------------------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}
DEEP = 700
ODD = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e400",
    '"\\ud800"',
    '"\\udfff"',
    '"a\\ud800b"',
    '{"\\ud800": 1}',
    "[NaN]",
    '{"x": NaN}',
    "1" * 400,
    "[" * DEEP + "NaN" + "]" * DEEP,
    "[" * DEEP + "]" * DEEP,
    '{"x":' * DEEP + "1" + "}" * DEEP,
    "[" * 100_000,
    "9" * 5000,
    '"\\u0000"',
    "null",
    "true",
    "[[], {}]",
    '""',
    "{",
    "\\",
    "",
    '{"numbers": 1}',
    '{"numbers": ["\\ud800"]}',
    '{"numbers": [NaN, "x"]}',
    '{"numbers": [1], "text": "\\ud800"}',
    '{"numbers": [1], "text": NaN}',
    '{"numbers": {"\\ud800": 1e999}}',
]


# Where the endpoint's own parsing fails, that error is its own.
UNPARSED = ("{", "\\", "", "[" * 100_000, "9" * 5000)


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        pytest.param(path, odd, id=f"{path}-{odd[:24]}")
        for path in ("numbers", "anything", "by-hand")
        for odd in ODD
        if path != "by-hand" or odd not in UNPARSED
    ],
)
def test_odd_json_is_never_an_error_of_ours(client: ApiClient, path: str, odd: str) -> None:
    """No JSON body, as it stands or in a field, gets an answer of 500 or more."""
    for body in (odd, f'{{"numbers": {odd}}}', f'{{"x": [{odd}]}}'):
        assert client.post(f"/api/{path}", content=body, headers=JSON).status_code < 500


@pytest.mark.parametrize(
    ("odd", "fault"),
    [
        ("NaN", "JSON has no NaN."),
        ("1e400", "The number 1e400 is out of range."),
        ('"\\ud800"', "A string holds half of a surrogate pair."),
    ],
)
def test_odd_json_that_comes_as_far_as_the_answer(client: ApiClient, odd: str, fault: str) -> None:
    """What no answer can hold is a 422 that says what is odd, and no error of the endpoint."""
    answer = client.post("/api/by-hand", content=f'{{"x": {odd}}}', headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["detail"] == [{"type": "value_error", "loc": [], "msg": fault}]


def test_an_invalid_request_shows_what_was_sent(client: ApiClient) -> None:
    """A 422 shows the input, with words in the place of what JSON cannot hold."""
    answer = client.post("/api/numbers", content='{"numbers": [NaN, "\\ud800"]}', headers=JSON)
    assert [error["input"] for error in answer.json()["detail"]] == ["\N{REPLACEMENT CHARACTER}"]


def test_bytes_that_are_no_text_are_shown(client: ApiClient) -> None:
    """A body of bytes that are no UTF-8, in the place of JSON, is a 422."""
    answer = client.post("/api/numbers", content=b"\xff\xfe", headers={"content-type": "application/octet-stream"})
    assert answer.status_code == 422


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_a_websocket_stays_what_it_is(client: ApiClient, root_path: str, name: str) -> None:
    """A websocket has no response: its error reaches the server, which closes it, and none of ours takes its place."""
    with pytest.raises(type(ERRORS[name])) as raised:
        websocket(client.app, f"{root_path}/api/ws/{name}", root_path=root_path)
    assert raised.value is ERRORS[name]


def test_a_value_error_of_the_endpoint_stays_one(client: ApiClient, kind: str) -> None:
    """A ValueError where nothing odd was sent is a 500, as without us."""
    assert client.get(f"/api/{kind}/fail/value").status_code == 500


# Reports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def errors() -> Iterator[list[Any]]:
    """What got_request_exception told."""
    seen: list[Any] = []

    def note(request: Any, **_: object) -> None:
        assert sys.exc_info()[0] is not None  # By it a receiver learns which error it is.
        seen.append(request)

    got_request_exception.connect(note)
    yield seen
    got_request_exception.disconnect(note)


def test_an_unexpected_error_is_logged_with_its_route(
    client: ApiClient, kind: str, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A 500 is one record of django.request, with traceback, route, status and Django request."""
    client.get(f"/api/{kind}/fail/boom?x=1")
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    path = f"{root_path}/api/{kind}/fail"
    assert record.name == "django.request"
    assert record.getMessage().startswith(f"Internal Server Error: {path}/boom (GET {path}/{{name}} (")
    assert "test_handlers.fail" in record.getMessage()
    assert SECRET in str(record.exc_info and record.exc_info[1])
    assert vars(record)["status_code"] == 500
    assert vars(record)["request"].get_full_path() == f"{path}/boom?x=1"
    assert vars(record)["request"].META["SCRIPT_NAME"] == root_path


def test_the_route_of_an_included_router(client: ApiClient, root_path: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the whole path of a route, that of the routers above it too."""
    client.get("/api/included/7/fail/boom")
    assert f"(GET {root_path}/api/included/{{shelf}}/fail/{{name}} (" in caplog.records[-1].getMessage()


def test_a_mounted_app_reports_once(
    client: ApiClient, kind: str, root_path: str, caplog: pytest.LogCaptureFixture, errors: list[Any]
) -> None:
    """An error in an app that is mounted in the app is logged once, and answered as in the app itself."""
    answer = client.get(f"/api/inner/{kind}/fail/boom")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert f"(GET {root_path}/api/inner/{kind}/fail/{{name}} (" in record.getMessage()
    assert len(errors) == 1
    assert client.get(f"/api/inner/{kind}/fail/does-not-exist").status_code == 404


def test_the_signal_is_sent(failing: Callable[..., Any], errors: list[Any]) -> None:
    """got_request_exception comes with the Django request for a 500, 501 and 503, and for nothing less."""
    for name in ("boom", "outage", "not-implemented", "does-not-exist", "check"):
        failing(name)
    assert [request.path.rpartition("/")[2] for request in errors] == ["boom", "outage", "not-implemented"]


# Django 6.1 warns of what its own handler does.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_an_error_is_mailed_to_admins(failing: Callable[..., Any], settings: Any, mailoutbox: list[Any]) -> None:
    """ADMINS get Django's report of a 500, with the values of the request."""
    settings.ADMINS = [("Admin", "admin@example.com")]
    # Django 6.1 asks for it.
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    failing("boom")
    [mail] = mailoutbox
    assert mail.subject.startswith("[Django] ERROR (EXTERNAL IP): Internal Server Error: ")
    assert SECRET in mail.body
    assert "REMOTE_ADDR" in mail.body


def test_a_suspicious_operation_is_logged_as_one(failing: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """SuspiciousOperation goes to django.security, as an error."""
    failing("suspicious")
    assert caplog.records[-1].name == "django.security.SuspiciousOperation"
    assert caplog.records[-1].levelno == logging.ERROR


def test_a_refusal_is_a_warning(failing: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """The log has the message that the client does not get, as a warning."""
    failing("denied")
    record = caplog.records[-1]
    assert (record.name, record.levelno) == ("django.request", logging.WARNING)
    assert record.getMessage().startswith("Forbidden (Permission denied): ")
    assert record.exc_info


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("check", "Conflict (check: book_has_pages)"),
        ("unique-together", "Conflict (unique: one_title_per_author)"),
        ("not-null", "Conflict (not_null: pages)"),
        ("protected", "Conflict (protected)"),
        ("number", f"{HTTPStatus(422).phrase} ({{error}}: A number is out of range.)"),
    ],
)
def test_what_the_database_refuses_is_one_line(
    client: ApiClient, kind: str, root_path: str, caplog: pytest.LogCaptureFixture, name: str, message: str
) -> None:
    """A broken constraint or a value that does not fit is no fault: one line with route and reason, no traceback."""
    client.get(f"/api/{kind}/fail/{name}")
    [record] = [record for record in caplog.records if record.name == "django.request"]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    error = "OverflowError" if connection.vendor == "sqlite" else "DataError"
    line = logging.Formatter().format(record)
    path = f"{root_path}/api/{kind}/fail"
    assert line.startswith(f"{message.format(error=error)}: {path}/{name} (GET {path}/{{name}} (")
    assert "\n" not in line
    assert "Orlando" not in line


def test_a_browser_gets_the_technical_page(failing: Callable[..., Any], settings: Any) -> None:
    """In DEBUG, who asks for HTML gets Django's page with the traceback."""
    settings.DEBUG = True
    answer = failing("boom", headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "RuntimeError at" in answer.text
    assert SECRET in answer.text
    assert "Request information" in answer.text


def test_a_client_gets_the_traceback_in_json(failing: Callable[..., Any], settings: Any) -> None:
    """In DEBUG, who does not ask for HTML gets the error and its traceback as JSON."""
    settings.DEBUG = True
    answer = failing("boom").json()
    assert answer["detail"] == f"RuntimeError: {SECRET}"
    assert answer["traceback"][-1] == f"RuntimeError: {SECRET}"
    assert any("test_handlers.py" in line for line in answer["traceback"])
    assert not any("starlette" in line for line in answer["traceback"][:2])


def test_a_browser_gets_json_without_debug(failing: Callable[..., Any]) -> None:
    """Without DEBUG, a browser is told no more than anybody."""
    answer = failing("boom", headers={"accept": "text/html"})
    assert answer.json() == {"detail": "Internal Server Error"}


def test_an_error_can_be_let_through(failing: Callable[..., Any], settings: Any) -> None:
    """With DEBUG_PROPAGATE_EXCEPTIONS the error leaves the root, as Django's own."""
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    with pytest.raises(RuntimeError, match=SECRET):
        failing("boom")


def test_an_error_in_a_stream_is_raised(client: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    """An error after the response has begun is logged, and the server must hear of it to cut the response off."""
    with pytest.raises(RuntimeError, match=SECRET):
        client.get("/api/half")
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == ["django.request"]


class WrittenBy(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str


class Written(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    title: str
    author: WrittenBy


@pytest.mark.parametrize("path", ["returned", "touched"])
def test_a_row_that_is_not_whole_names_the_remedy(root_path: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """An async endpoint whose row lacks what the answer needs is one record, whose traceback ends with what to do."""
    app = FastAPI()

    @app.get("/returned/{fetched}")
    async def returned(fetched: bool) -> Written:
        books = Book.objects.select_related("author") if fetched else Book.objects
        return await books.aget()  # type: ignore[return-value]

    @app.get("/touched/{fetched}")
    async def touched(fetched: bool) -> str:
        books = Book.objects.select_related("author") if fetched else Book.objects
        return (await books.aget()).author.name

    book()
    client = ApiClient(mount("/api", app), root_path)
    assert client.get(f"/api/{path}/yes").status_code == 200
    answer = client.get(f"/api/{path}/no")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    last = logging.Formatter().format(record).splitlines()[-1]
    assert "select_related" in last
    assert "Write it as a plain def" in last


# Handlers of the app's own ----------------------------------------------------------------------------------------


def own(*keys: type[Exception] | int) -> FastAPI:
    """An app with a handler of its own for each of `keys`, mounted by the test."""
    app = FastAPI()
    for key in keys:
        app.add_exception_handler(key, lambda request, error: JSONResponse("own", 418))

    @app.get("/{name}")
    def fail(name: str) -> None:
        if name == "http":
            raise HTTPException(409, "by hand", {"x-more": "1"})
        FAILURES[name]()

    return app


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (Http404, "http404"),
        (RuntimeError, "not-implemented"),
        (OperationalError, "outage"),
        (HTTPException, "http"),
        (ValueError, "value"),
        (404, "nothing-there/at-all"),
    ],
)
def test_handlers_of_the_app_stay(root_path: str, key: Any, name: str) -> None:
    """A handler that the app has, for the class or one above it, answers."""
    client = ApiClient(mount("/api", own(key)), root_path)
    assert client.get(f"/api/{name}").status_code == 418


@pytest.mark.parametrize("key", [Exception, 500])
def test_the_last_handler_of_the_app_stays(root_path: str, key: Any) -> None:
    """An app's own handler for all errors answers them; the error goes on to the server, as without us."""
    client = ApiClient(mount("/api", own(key)), root_path)
    with pytest.raises(RuntimeError, match=SECRET):
        client.get("/api/boom")
    assert client.get("/api/does-not-exist").status_code == 404


def test_a_second_call_changes_nothing() -> None:
    """An app that is mounted twice keeps the handlers of the first time."""
    app = FastAPI()
    add_exception_handlers(app)
    first = dict(app.exception_handlers)
    add_exception_handlers(app)
    assert app.exception_handlers == first


def test_an_app_that_serves_already_gets_them(root_path: str) -> None:
    """An app that was called before it was mounted answers Django's exceptions all the same."""
    app = own()
    ApiClient(app).get("/http")
    assert ApiClient(mount("/api", app), root_path).get("/api/does-not-exist").status_code == 404


# Problem details --------------------------------------------------------------------------------------------------


@pytest.fixture
def problems(settings: Any, root_path: str) -> ApiClient:
    settings.DJFAST_MOUNT = {"problem_details": True}
    return ApiClient(mount("/api", own()), root_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("does-not-exist", {"title": "Not Found", "status": 404}),
        ("boom", {"title": "Internal Server Error", "status": 500}),
        ("http", {"title": "Conflict", "status": 409, "detail": "by hand"}),
        (
            "message",
            {
                "title": HTTPStatus(422).phrase,
                "status": 422,
                "errors": [{"type": "closed", "loc": ["body"], "msg": "Not today."}],
            },
        ),
        (
            "check",
            {
                "title": "Conflict",
                "status": 409,
                "detail": "A value breaks a rule.",
                "code": "check",
                "constraint": "book_has_pages",
                "fields": [],
            },
        ),
    ],
)
def test_problem_details(problems: ApiClient, name: str, problem: dict[str, Any]) -> None:
    """With the setting, every error is a problem of RFC 9457."""
    answer = problems.get(f"/api/{name}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == problem["status"]
    assert answer.json() == {"type": "about:blank", **problem}


def test_a_problem_keeps_the_headers(problems: ApiClient) -> None:
    """The headers of an HTTPException go with the problem."""
    assert problems.get("/api/http").headers["x-more"] == "1"
