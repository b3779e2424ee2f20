"""Projects that join the two by hand, moved to `mount()`: the same answers, and what differs is listed here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from harness import TESTS
from moving.sites import PROJECTS, served
from quickstart_site import PASSWORD

pytestmark = pytest.mark.long


class Asked(NamedTuple):
    """One row of a table of requests."""

    path: str
    method: str = "GET"
    options: Sequence[tuple[str, Any]] = ()


def asked(path: str, method: str = "GET", **options: Any) -> Asked:
    return Asked(path, method, tuple(options.items()))


PAGE = {"accept": "text/html"}
ORIGIN = {"origin": "https://a.example"}

# {d} is the prefix of Django's half. Rows are asked in their order, and write.
DJANGOS = [
    asked("{d}/admin/"),
    asked("{d}/admin/login/"),
    asked("{d}/admin/login/", "POST"),
    asked("{d}/count/"),
    asked("{d}/count"),
    asked("{d}/moved/"),
    asked("{d}/mine/"),
    asked("{d}/none/", headers=PAGE),
    asked("{d}/"),
    asked("{d}x/"),
    asked("/admin/", headers=PAGE),
    asked("/static/admin/css/base.css"),
    asked("/static/admin/css/base.css", "HEAD"),
    asked("/openapi.json"),
]
ROWS = {
    "polls_at_root": [
        asked("/notes/"),
        asked("/notes"),
        asked("/notes/first"),
        asked("/notes/", "POST", json={"text": "first"}),
        asked("/notes/", "POST", json={"words": 1}),
        asked("/notes/", "POST", content=b"{", headers={"content-type": "application/json"}),
        asked("/notes/", headers=ORIGIN),
        asked("/notes/first", headers={"accept": "text/html"}),
        asked("/notes/", "OPTIONS", headers={**ORIGIN, "access-control-request-method": "POST"}),
        asked("/notes/", "PATCH"),
        asked("/health"),
        asked("/health/"),
        asked("/none"),
        asked("/", headers=PAGE),
        *DJANGOS,
        asked("/notes/", "DELETE"),
        asked("/static/none.css"),
    ],
    "spa_at_root": [
        asked("/api/v1/notes"),
        asked("/api/v1/notes?text=first", "POST"),
        asked("/api/v1/notes", "POST"),
        asked("/api/v1/double/21"),
        asked("/api/v1/double/x"),
        asked("/assets/app.js"),
        asked("/assets/none.js"),
        asked("/", headers=PAGE),
        asked("/index.html"),
        asked("/some/page", headers=PAGE),
        asked("/api/v1/none"),
        asked("/some/page", "POST"),
        *DJANGOS,
    ],
    "rewritten": [
        asked("/", headers=PAGE),
        asked("/_next/app.js"),
        asked("/_next/none.js"),
        asked("/api/health"),
        asked("/api/chat?text=hello", "POST"),
        asked("/api/chat?words=3"),
        asked("/api/chat?words=x"),
        asked("/api/chat/history"),
        asked("/api/none"),
        *DJANGOS,
    ],
}


def answer(client: httpx.Client, row: Asked, prefix: str) -> dict[str, Any]:
    """What can be compared of an answer: tokens, and the host's port, are the server's own."""
    response = client.request(row.method, row.path.format(d=prefix), **dict(row.options))
    body = re.sub(r'(name="csrfmiddlewaretoken" value=")\w+', r"\1", response.text)
    cookies = sorted(re.sub(r"=\w+;.*?(path=[^;]*).*", r" \1", line, flags=re.I) for line in cookie_lines(response))
    host = str(client.base_url).rstrip("/")
    kind = response.headers.get("content-type", "").replace('"', "")
    # WhiteNoise lets other origins have static files.
    cors = None if "/static/" in row.path or "/_next/" in row.path else "access-control-allow-origin"
    return {
        "row": row,
        "status": response.status_code,
        "type": kind,
        "location": response.headers.get("location", "").replace(host, ""),
        "allow": response.headers.get("allow"),
        "cors": cors and response.headers.get(cors),
        "cookies": cookies,
        "body": body if row.method != "HEAD" else response.headers["content-length"],
    }


def cookie_lines(response: httpx.Response) -> list[str]:
    return response.headers.get_list("set-cookie")


@contextlib.contextmanager
def client_of(project: str, join: str, folder: Path) -> Iterator[httpx.Client]:
    with served(project, join, folder) as server, server.client() as client:
        yield client


def log_in(client: httpx.Client, prefix: str) -> httpx.Response:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(f"{prefix}/admin/login/").text)
    assert token is not None
    form = {"username": "demo", "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": f"{prefix}/mine/"}
    return client.post(f"{prefix}/admin/login/", data=form)


@pytest.mark.parametrize("project", PROJECTS)
def test_the_answers_are_those_of_the_hand_made_join(project: str, tmp_path: Path) -> None:
    """Each row is answered alike by both joins, after a login in the admin too; but the prefix without its slash, which
    is Django's root here, and which Starlette redirects to the slash."""
    found: dict[str, list[dict[str, Any]]] = {}
    bare: dict[str, httpx.Response] = {}
    prefix = PROJECTS[project]
    for join in ("hand_made", "mounted"):
        with client_of(project, join, tmp_path / join) as client:
            found[join] = [answer(client, row, prefix) for row in ROWS[project]]
            logged_in = log_in(client, prefix)
            assert (logged_in.status_code, logged_in.headers["location"]) == (302, f"{prefix}/mine/")
            found[join] += [answer(client, asked(path), prefix) for path in ("{d}/mine/", "{d}/admin/notes/note/")]
            bare[join] = client.get(prefix, headers=PAGE)
    pairs = zip(found["hand_made"], found["mounted"], strict=True)
    assert [(by_hand, mounted) for by_hand, mounted in pairs if by_hand != mounted] == []
    by_hand = 200 if project == "spa_at_root" else 307  # There the front end has it.
    assert (bare["hand_made"].status_code, bare["mounted"].status_code) == (by_hand, 404)


@pytest.mark.parametrize("project", PROJECTS)
def test_the_glue_is_short(project: str) -> None:
    """The mounted join is at most 12 lines, and knows nothing of django.setup, StaticFiles or connections."""
    glue = (TESTS / "moving" / project / "mounted.py").read_text()
    assert len(glue.splitlines()) <= 12
    assert not re.search("asgi_application|StaticFiles|close|setup", glue)
