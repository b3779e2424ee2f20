"""Django's responses and lazy texts, returned or raised by endpoints of a mounted FastAPI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import fastapi.encoders
import pytest
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel, TypeAdapter

from api_client import ApiClient, both, committed_rows
from djfast_mount import mount
from djfast_mount.auth import get_request
from djfast_mount.django_for_api import encoding

DjangoRequest = Annotated[HttpRequest, Depends(get_request)]
events: list[str] = []


def closing() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        events.append(f"rolled back by {error!r}")
        raise
    events.append("committed")


def make_api() -> FastAPI:
    api = FastAPI()

    @both(api, "GET", "/plain", dependencies=[Depends(closing, scope="function")])
    def plain(response: Response, tasks: BackgroundTasks):  # type: ignore[no-untyped-def]
        response.set_cookie("own", "1")
        response.headers["x-own"] = "1"
        tasks.add_task(events.append, "task")
        answer = HttpResponse("text", status=203, content_type="text/plain; charset=latin-1", headers={"X-Django": "1"})
        answer.set_cookie("djangos", "1")
        return answer

    @both(api, "GET", "/json")
    def json() -> Any:
        return JsonResponse({"a": [1]})

    @both(api, "GET", "/redirect", response_model=None)
    def to() -> HttpResponseRedirect:
        return redirect("/elsewhere/")

    @both(api, "GET", "/rendered")
    def rendered(request: DjangoRequest) -> Any:
        return render(request, "admin/404.html", status=404)

    @both(api, "GET", "/template")
    def template(request: DjangoRequest) -> Any:
        return TemplateResponse(request, "admin/404.html").render()

    @both(api, "GET", "/stream")
    def stream() -> Any:
        return StreamingHttpResponse(part for part in ("a", "b"))

    @both(api, "GET", "/file")
    def file() -> Any:
        return FileResponse(open(__file__, "rb"), filename="test.py")

    @both(api, "GET", "/empty")
    def empty() -> Any:
        return HttpResponse(status=204)

    @both(api, "GET", "/session")
    def session(request: DjangoRequest) -> Any:
        request.session["n"] = 1
        return HttpResponse("kept")

    @both(api, "GET", "/declared")
    def declared() -> dict[str, int]:
        return redirect("/elsewhere/")  # type: ignore[return-value]

    # Lazy texts

    @both(api, "GET", "/raised")
    def raised() -> None:
        raise HTTPException(404, _("Yes"))  # type: ignore[arg-type]

    @both(api, "GET", "/raised-within")
    def raised_within() -> None:
        raise HTTPException(418, {"why": [_("Yes"), 1]}, {"x-own": "1"})

    @both(api, "GET", "/lazy")
    def lazy() -> Any:
        return {"text": _("Yes"), "list": [_("No")], _("Yes"): 1}

    @both(api, "GET", "/lazy-alone")
    def lazy_alone() -> Any:
        return _("Yes")

    @both(api, "GET", "/lazy-undeclared")
    def lazy_undeclared():  # type: ignore[no-untyped-def]
        return {"text": _("Yes"), "list": [_("No")], _("Yes"): 1}

    @both(api, "GET", "/lazy-in-a-dict")
    def lazy_in_a_dict() -> dict[str, Any]:
        return {"text": _("Yes")}

    return api


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


LOCALE = "django.middleware.locale.LocaleMiddleware"


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    events.clear()
    return str(request.param)


@pytest.fixture(params=[None, [LOCALE, "django.middleware.gzip.GZipMiddleware"]], ids=["bare", "middleware"])
def client(request: pytest.FixtureRequest, root_path: str) -> ApiClient:
    return ApiClient(mount("/api", make_api(), django_middleware_for_api=request.param), root_path)


def test_a_response_of_djangos(client: ApiClient, kind: str) -> None:
    """It is sent as it is: status, headers, cookies and body; with it what was set on FastAPI's response."""
    answer = client.get(f"/api/{kind}/plain")
    assert (answer.status_code, answer.text, answer.headers["x-django"]) == (203, "text", "1")
    assert answer.headers["content-type"] == "text/plain; charset=latin-1"
    assert answer.headers["x-own"] == "1"
    assert {cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")} == {"own", "djangos"}


def test_the_call_ends_as_any_other(client: ApiClient, kind: str) -> None:
    """Dependencies end without an error, so that a transaction is committed, and background tasks run."""
    client.get(f"/api/{kind}/plain")
    assert events == ["committed", "task"]


@pytest.mark.parametrize(
    ("path", "status", "content_type"),
    [
        ("json", 200, "application/json"),
        ("redirect", 302, "text/html; charset=utf-8"),
        ("rendered", 404, "text/html; charset=utf-8"),
        ("template", 200, "text/html; charset=utf-8"),
        ("stream", 200, "text/html; charset=utf-8"),
        ("file", 200, "text/x-python"),
        ("empty", 204, "text/html; charset=utf-8"),
        ("session", 200, "text/html; charset=utf-8"),
    ],
)
def test_every_kind_of_response(
    client: ApiClient, kind: str, path: str, status: int, content_type: str, db: None
) -> None:
    """JsonResponse, redirect(), render(), streams and files are as good as another."""
    answer = client.get(f"/api/{kind}/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    if path == "json":
        assert answer.json() == {"a": [1]}
    elif path == "redirect":
        assert answer.headers["location"] == "/elsewhere/"
    elif path == "stream":
        assert answer.text == "ab"
    elif path == "file":
        assert answer.text == Path(__file__).read_text()
        assert answer.headers["content-disposition"] == 'inline; filename="test.py"'
    elif path == "empty":
        assert answer.content == b""


def test_a_route_that_declares_something_else(client: ApiClient, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A route with a schema keeps to it: the error says how to return a response of Django's."""
    assert client.get(f"/api/{kind}/declared").status_code == 500
    assert "Declare the route with response_model=None" in caplog.text


@pytest.mark.parametrize(("language", "yes", "no"), [("en", "Yes", "No"), ("de", "Ja", "Nein")])
def test_lazy_texts(root_path: str, kind: str, settings: Any, language: str, yes: str, no: str) -> None:
    """A lazy translation is its text, in the language of the call: raised, returned, nested, as a key."""
    client = ApiClient(mount("/api", make_api(), django_middleware_for_api=[LOCALE]), root_path)
    headers = {"accept-language": language}
    answer = client.get(f"/api/{kind}/raised", headers=headers)
    assert (answer.status_code, answer.json()) == (404, {"detail": yes})
    answer = client.get(f"/api/{kind}/raised-within", headers=headers)
    assert (answer.status_code, answer.json(), answer.headers["x-own"]) == (418, {"detail": {"why": [yes, 1]}}, "1")
    for path in ("lazy", "lazy-undeclared"):
        answer = client.get(f"/api/{kind}/{path}", headers=headers)
        assert answer.json() == {"text": yes, "list": [no], yes: 1}
    assert client.get(f"/api/{kind}/lazy-in-a-dict", headers=headers).json() == {"text": yes}
    assert client.get(f"/api/{kind}/lazy-alone", headers=headers).json() == yes


def test_problem_details(root_path: str, settings: Any) -> None:
    """A lazy text is the detail of a problem too."""
    settings.DJFAST_MOUNT = {"problem_details": True}
    client = ApiClient(mount("/api", make_api()), root_path)
    assert client.get("/api/sync/raised").json()["detail"] == "Yes"


def test_fastapi_has_the_name() -> None:
    """jsonable_encoder asks encoders_by_class_tuples about classes that it does not know."""
    assert isinstance(fastapi.encoders.encoders_by_class_tuples, dict)
    assert "encoders_by_class_tuples" in fastapi.encoders.jsonable_encoder.__code__.co_names


def test_pydantic_has_the_name() -> None:
    """Any is serialized by the `__pydantic_serializer__` of a value's class."""
    encoding.install()
    assert TypeAdapter(dict[str, Any]).dump_json({"a": _("Yes")}) == b'{"a":"Yes"}'
    assert "__pydantic_serializer__" in vars(BaseModel)


def test_a_fastapi_without_the_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, root_path: str
) -> None:
    """Where the name is gone, a line in the log says so, and everything else works."""
    known = dict(fastapi.encoders.encoders_by_class_tuples)
    monkeypatch.delattr(fastapi.encoders, "encoders_by_class_tuples")
    encoding.install()
    assert "has no encoders_by_class_tuples" in caplog.text
    monkeypatch.setattr(fastapi.encoders, "encoders_by_class_tuples", known, raising=False)
