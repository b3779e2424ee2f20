"""examples/quickstart, served by uvicorn in a process of its own and asked over real sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.sync.client import connect

from harness import Server
from quickstart_site import PASSWORD, Site, add_note, create, installed, log_in


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with installed(tmp_path_factory.mktemp("quickstart")) as site:
        yield site


@pytest.fixture(scope="module")
def servers(site: Site) -> Iterator[dict[str, Server]]:
    """One server at the root of its host, one behind a proxy that strips /pre."""
    with site.serve() as bare, site.serve("--root-path", "/pre") as prefixed:
        yield {"": bare, "/pre": prefixed}


@pytest.fixture
def server(servers: dict[str, Server], root_path: str) -> Server:
    return servers[root_path]


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def session(servers: dict[str, Server]) -> httpx.Cookies:
    """The cookies of a logged-in admin; to hash a password takes a second."""
    with servers[""].client() as client:
        log_in(client)
        return client.cookies


@pytest.fixture
def admin(client: httpx.Client, session: httpx.Cookies) -> httpx.Client:
    client.cookies.update(session)
    return client


@pytest.fixture
def title() -> str:
    return f"note {uuid4().hex}"


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_a_note_of_the_admin_is_in_the_api(client: httpx.Client, root_path: str, title: str) -> None:
    """A note that a logged-in user adds in the admin is answered by the API's sync and async endpoints."""
    assert log_in(client).headers["location"] == f"{root_path}/admin/"
    assert add_note(client, title).headers["location"] == f"{root_path}/admin/notes/note/"
    [note] = client.get("/api/notes", params={"search": title}).json()
    assert client.get(f"/api/notes/{note['id']}").json() == note
    assert note["title"] == title


def test_a_note_of_the_api_is_on_the_page_and_in_the_admin(admin: httpx.Client, title: str) -> None:
    """A note posted to the API is listed by Django's page and by the admin."""
    assert create(admin, title).status_code == 201
    assert title in admin.get("/").text
    assert f">{title}</a>" in admin.get("/admin/notes/note/", params={"q": title}).text


def test_the_admin_wants_a_login(client: httpx.Client, root_path: str) -> None:
    """The admin's index sends a stranger to its login page, under the outer prefix where there is one."""
    answer = client.get("/admin/")
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        f"{root_path}/admin/login/?next={root_path}/admin/",
    )


def test_a_login_without_the_csrf_token_is_refused(client: httpx.Client) -> None:
    """Django's CSRF check stands before the admin's login."""
    assert client.post("/admin/login/", data={"username": "demo", "password": "any"}).status_code == 403


def test_a_stranger_may_read_and_not_write(client: httpx.Client, title: str) -> None:
    """Without a login a POST is 401 and leaves nothing; the list is shown."""
    assert create(client, title).status_code == 401
    answer = client.get("/api/notes", params={"search": title})
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_write_without_the_csrf_token_is_refused(admin: httpx.Client, title: str) -> None:
    """A cookie alone does not write: Django's CSRF check holds in the API."""
    assert admin.post("/api/notes", json=[{"title": title}]).status_code == 403


def test_the_dependency_rolls_all_notes_back(admin: httpx.Client, title: str) -> None:
    """Where one title is there already none of the posted notes is kept."""
    answer = create(admin, title, f"{title} too", title)
    assert (answer.status_code, title in answer.json()["detail"]) == (409, True)
    assert admin.get("/api/notes", params={"search": title}).json() == []


def test_transactions_at_once_stay_apart(server: Server, session: httpx.Cookies, title: str) -> None:
    """Of 24 requests at once every one that was told 201 finds its notes at once, every one told 409 left none."""

    def post(number: int) -> None:
        mine = [f"{title} {number} a", f"{title} {number} b"]
        fails = number % 3 == 0
        with server.client() as client:
            client.cookies.update(session)
            assert create(client, *mine, *(mine[:1] if fails else [])).status_code == (409 if fails else 201)
            found = client.get("/api/notes", params={"search": f"{title} {number} "}).json()
            assert [note["title"] for note in found] == ([] if fails else mine)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(post, range(24)))


def test_a_missing_note_is_404(client: httpx.Client) -> None:
    """The async endpoint answers 404 in FastAPI's words for a note that is not there."""
    answer = client.get("/api/notes/999999999")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no note 999999999."})


def test_a_bad_title_is_422(admin: httpx.Client) -> None:
    """The rules of the model hold for what is posted."""
    for title in ("", "x" * 201):
        assert create(admin, title).status_code == 422


def test_the_websocket_searches(admin: httpx.Client, server: Server, title: str) -> None:
    """Every text sent is answered with the titles that contain it, on one connection."""
    create(admin, title)
    with connect(f"ws://127.0.0.1:{server.port}/api/notes/search", proxy=None) as websocket:
        for text, titles in ((title, [title]), (f"{title} not", [])):
            websocket.send(text)
            assert json.loads(websocket.recv(timeout=10)) == {"search": text, "titles": titles}


def test_events_bring_what_comes_later(admin: httpx.Client, title: str) -> None:
    """A stream open since before a note was made brings that note, and only those after Last-Event-ID."""
    [first] = create(admin, title).json()
    headers = {"last-event-id": str(first["id"] - 1)}
    with admin.stream("GET", "/api/notes/changes", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = events(response)
        assert next(stream) == first
        [second] = create(admin, f"{title} later").json()
        assert next(stream) == second


def test_the_docs_lead_to_the_schema(client: httpx.Client, root_path: str) -> None:
    """The docs page asks for the schema where the browser will find it, and the schema names the prefix."""
    log_in(client)
    assert f'openapi-url="{root_path}/api/openapi.json"' in client.get("/api/docs").text
    schema = client.get("/api/openapi.json").json()
    assert schema["servers"] == [{"url": f"{root_path}/api"}]
    assert set(schema["paths"]) == {"/notes", "/notes/changes", "/notes/{note_id}"}


def test_the_admin_is_styled(client: httpx.Client, root_path: str) -> None:
    """The stylesheets of the login page are served compressed, and for ever since their names hold a hash."""
    page = client.get("/admin/login/").text
    links = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
    assert links
    for link in links:
        answer = client.get(link.removeprefix(root_path))
        assert (answer.status_code, answer.headers["content-type"]) == (200, 'text/css; charset="utf-8"')
        assert link.startswith(f"{root_path}/static/admin/css/")
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["vary"] == "Accept-Encoding"


def test_the_page_is_styled(client: httpx.Client, root_path: str) -> None:
    """Django's page has a stylesheet of its own, which is served for ever under a hashed name."""
    [link] = re.findall(r'<link rel="stylesheet" href="([^"]+)"', client.get("/").text)
    assert link.startswith(f"{root_path}/static/notes/style.")
    answer = client.get(link.removeprefix(root_path))
    assert (answer.status_code, answer.headers["content-type"]) == (200, 'text/css; charset="utf-8"')
    assert "immutable" in answer.headers["cache-control"]


def test_a_prefix_put_on_twice_leads_nowhere(servers: dict[str, Server]) -> None:
    """With --root-path and a proxy that leaves the prefix on, uvicorn doubles it: Django's 404, as the docs say."""
    with servers["/pre"].client() as client:
        for path in ("/pre/admin/login/", "/pre/api/notes"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_migrations_are_complete(site: Site) -> None:
    """The migrations of the notes say what their models say."""
    assert "No changes detected" in site.manage("makemigrations", "--check", "--dry-run").stdout


@pytest.mark.parametrize(("debug", "status"), [("", 1), ("1", 0)])
def test_the_demonstration_key_needs_debug(site: Site, debug: str, status: int) -> None:
    """Without a SECRET_KEY the project starts with DEBUG=1 alone, and says so."""
    done = site.manage("check", check=False, SECRET_KEY="", DEBUG=debug)
    assert (done.returncode, "SECRET_KEY is not set" in done.stderr) == (status, bool(status))


def test_nothing_is_left_to_warn_of_behind_tls(site: Site) -> None:
    """Django's deployment checks are content with the settings once HTTPS=1 and a long key are set."""
    key = "".join(chr(ord("!") + n) for n in range(80))
    done = site.manage("check", "--deploy", "--fail-level=WARNING", check=False, HTTPS="1", SECRET_KEY=key)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def old_password(site: Site) -> Iterator[None]:
    yield
    site.manage("demo_admin", f"--password={PASSWORD}")


@pytest.mark.usefixtures("old_password")
def test_demo_admin_may_run_again(site: Site, servers: dict[str, Server]) -> None:
    """A second demo_admin prints a password that works, for the one user there is."""
    printed = re.search(r"Password: +(\S+)", site.manage("demo_admin").stdout)
    assert printed is not None
    with servers[""].client() as client:
        assert log_in(client, printed[1]).status_code == 302
        assert "1 user" in client.get("/admin/auth/user/").text
