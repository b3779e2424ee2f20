"""Pages of another origin, in chromium, against an API that the session cookie logs in to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from playwright.sync_api import Page

from browser.pages import open_admin
from browser.serving import library
from harness import TESTS

FORM = """<!doctype html><title>Win a prize</title>
<form method="post" action="{target}" enctype="{coding}"><input name="name" value="stolen"><button>Win</button></form>
"""


class Elsewhere(NamedTuple):
    """A server of somebody else's, on this machine: it serves the page that was put there."""

    port: int
    pages: dict[str, str]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Elsewhere(server.server_address[1], pages)
        server.shutdown()


@pytest.fixture(scope="module")
def url(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with library(tmp_path_factory.mktemp("csrf"), prefix) as url:
        yield url


@pytest.fixture
def page(page: Page, url: str) -> Page:
    """A page whose user is logged in on the admin's site."""
    open_admin(page, url)
    return page


def gifts(page: Page, url: str) -> list[str]:
    return list(page.request.get(f"{url}/api/gifts").json())


CODINGS = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", ["gift", "bodyless"])
def test_a_form_of_another_origin_is_refused(
    page: Page, url: str, elsewhere: Elsewhere, coding: str, path: str
) -> None:
    """A form of a page on another port, with which the browser sends the session cookie, changes nothing."""
    before = gifts(page, url)
    elsewhere.pages["/form"] = FORM.format(target=f"{url}/api/{path}", coding=coding)
    page.goto(f"http://127.0.0.1:{elsewhere.port}/form")
    with page.expect_response(f"{url}/api/{path}") as answered:
        page.get_by_role("button", name="Win").click()
    assert "sessionid" in answered.value.request.all_headers()["cookie"]
    assert answered.value.request.all_headers()["origin"] == f"http://127.0.0.1:{elsewhere.port}"
    assert answered.value.status == 403
    assert gifts(page, url) == before


def test_a_script_of_another_origin_is_refused(page: Page, url: str, elsewhere: Elsewhere) -> None:
    """A script of a page on another port cannot change anything with the cookie either."""
    before = gifts(page, url)
    elsewhere.pages["/script"] = "<!doctype html><title>Script</title>"
    page.goto(f"http://127.0.0.1:{elsewhere.port}/script")
    script = "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'}).then(() => true)"
    with page.expect_response(f"{url}/api/bodyless") as answered:
        page.evaluate(script, f"{url}/api/bodyless")
    assert answered.value.status == 403
    assert gifts(page, url) == before


def test_a_form_of_another_site_is_refused(page: Page, url: str, elsewhere: Elsewhere) -> None:
    """With a form of another site the browser does not even send the cookie, and the caller is a stranger."""
    before = gifts(page, url)
    elsewhere.pages["/form"] = FORM.format(target=f"{url}/api/bodyless", coding=CODINGS[0])
    page.goto(f"http://localhost:{elsewhere.port}/form")
    with page.expect_response(f"{url}/api/bodyless") as answered:
        page.get_by_role("button", name="Win").click()
    assert answered.value.status == 401
    assert gifts(page, url) == before


def test_the_sites_own_page_passes(page: Page, url: str) -> None:
    """A script of the site itself, which sends the token in the header, is let through."""
    script = """url => fetch(url, {
        method: 'POST',
        headers: {'X-CSRFToken': document.querySelector('[name=csrfmiddlewaretoken]').value}
    }).then(answer => answer.status)"""
    assert page.evaluate(script, f"{url}/api/bodyless") == 200
    assert gifts(page, url)[-1] == "bodyless"


def test_the_script_of_the_docs_passes(page: Page, url: str) -> None:
    """The call that docs/auth.md shows is let through, with the function of Django's documentation that it uses."""
    [call] = re.findall(r"```js\n(.*?)```", (TESTS.parent / "docs" / "auth.md").read_text(), re.DOTALL)
    assert '"/api/lend"' in call
    asked = call.strip().replace('"/api/lend"', "url")
    script = f"""url => {{
        const getCookie = name => document.cookie.split('; ').find(one => one.startsWith(name + '=')).split('=')[1];
        return {asked}.then(answer => answer.status);
    }}"""
    assert page.evaluate(script, f"{url}/api/bodyless") == 200
    assert gifts(page, url)[-1] == "bodyless"


def test_the_sites_own_form_passes(page: Page, url: str) -> None:
    """A form of the site itself, with Django's hidden field, is let through."""
    script = """target => {
        const form = document.createElement('form');
        form.method = 'post';
        form.action = target;
        form.append(document.querySelector('[name=csrfmiddlewaretoken]').cloneNode());
        const name = document.createElement('input');
        name.name = 'name';
        name.value = 'given';
        form.append(name);
        document.body.append(form);
        form.submit();
    }"""
    with page.expect_response(f"{url}/api/gift") as answered:
        page.evaluate(script, f"{url}/api/gift")
    assert answered.value.status == 200
    assert gifts(page, url)[-1] == "given"
