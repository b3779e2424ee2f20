"""The quickstart in chromium: at the root of its host, and under /pre behind nginx in both styles of proxy."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Response, expect

from browser.pages import log_in, open_admin, screenshot
from browser.serving import served
from nginx import nginx
from quickstart_site import Site, installed


def bare(site: Site, folder: Path) -> contextlib.AbstractContextManager[str]:
    return served(site.serve, folder, "")


def stripped(site: Site, folder: Path) -> contextlib.AbstractContextManager[str]:
    return served(site.serve, folder, "/pre")


@contextlib.contextmanager
def not_stripped(site: Site, folder: Path) -> Iterator[str]:
    with (
        site.serve(FORCE_SCRIPT_NAME="/pre") as server,
        nginx(folder / "nginx", server.url, "/pre", strip=False) as url,
    ):
        yield url


@pytest.fixture(scope="module", params=[bare, stripped, not_stripped], ids=lambda position: position.__name__)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site is for the browser."""
    folder = tmp_path_factory.mktemp("position")
    with installed(folder) as site, request.param(site, folder) as url:
        yield url


@pytest.fixture
def stylesheets(page: Page) -> list[Response]:
    """The answers to what the page's stylesheets were asked for by."""
    found: list[Response] = []
    page.on("response", lambda answer: found.append(answer) if answer.request.resource_type == "stylesheet" else None)
    return found


@pytest.fixture
def title() -> str:
    return f"note {uuid4().hex}"


def post_note(page: Page, url: str, title: str) -> None:
    """By a browser of its own, which is logged in: the page's is not."""
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context()
    open_admin(context.new_page(), url)
    [token] = [cookie["value"] for cookie in context.cookies() if cookie["name"] == "csrftoken"]
    headers = {"x-csrftoken": token, "referer": f"{url}/"}
    assert context.request.post(f"{url}/api/notes", data=[{"title": title}], headers=headers).status == 201
    context.close()


def test_the_admin_and_the_api_show_the_same_note(
    page: Page, stylesheets: list[Response], failures: list[str], url: str, title: str
) -> None:
    """A note added by hand in the styled admin is in what the browser gets from the API."""
    open_admin(page, url)
    page.locator(".model-note a.addlink").click()
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist .success")).to_contain_text(title)
    screenshot(page, "admin")
    assert page.locator("#header").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(65, 118, 144)"
    assert len(stylesheets) >= 5
    for answer in stylesheets:
        assert (answer.status, answer.headers["content-type"]) == (200, 'text/css; charset="utf-8"')
    page.goto(f"{url}/api/notes?search={title.replace(' ', '+')}")
    assert [note["title"] for note in json.loads(page.locator("body").inner_text())] == [title]
    assert failures == []


def test_the_docs_try_the_api_out(page: Page, failures: list[str], url: str, title: str) -> None:
    """ "Try it out" of the docs page asks the API under the prefix, and shows what it answers."""
    post_note(page, url, title)
    page.goto(f"{url}/api/docs")
    log_in(page)
    operation = page.locator(".opblock-get", has=page.locator("[data-path='/notes']"))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_placeholder("search").fill(title)
    with page.expect_response(re.compile("/api/notes")) as answered:
        operation.get_by_role("button", name="Execute").click()
    assert answered.value.url.startswith(f"{url}/api/notes?search=note")
    expect(operation.locator(".live-responses-table tbody .response-col_description")).to_contain_text(title)
    screenshot(page, "docs")
    assert failures == []


def test_the_home_page_links_to_both_halves(page: Page, failures: list[str], url: str, title: str) -> None:
    """Django's page lists a note of the API, and its links lead to the admin and, past its login, to the docs."""
    post_note(page, url, title)
    page.goto(f"{url}/")
    expect(page.locator("li", has_text=title)).to_be_visible()
    page.get_by_role("link", name="Admin").click()
    page.wait_for_url(re.compile(f"^{re.escape(url)}/admin/login/"))
    page.go_back()
    page.get_by_role("link", name="API").click()
    page.wait_for_url(re.compile(f"^{re.escape(url)}/admin/login/"))
    log_in(page)
    expect(page.locator(".swagger-ui .title")).to_contain_text("Notes")
    assert failures == []


def test_a_websocket_of_the_browser(page: Page, url: str, title: str) -> None:
    """The browser's own WebSocket gets its answer, through the proxy where there is one."""
    post_note(page, url, title)
    page.goto(f"{url}/")
    script = """title => new Promise((resolve, reject) => {
        const socket = new WebSocket(new URL('api/notes/search', location.href).href.replace('http', 'ws'));
        socket.onopen = () => socket.send(title);
        socket.onmessage = message => { resolve(JSON.parse(message.data)); socket.close(); };
        socket.onerror = () => reject(new Error('the websocket failed'));
    })"""
    assert page.evaluate(script, title) == {"search": title, "titles": [title]}


def test_the_events_reach_the_browser(page: Page, url: str, title: str) -> None:
    """The browser's own EventSource gets a note, through the proxy where there is one."""
    post_note(page, url, title)
    page.goto(f"{url}/")
    script = """title => new Promise((resolve, reject) => {
        const source = new EventSource('api/notes/changes');
        source.onmessage = message => {
            const note = JSON.parse(message.data);
            if (note.title === title) { resolve(note.title); source.close(); }
        };
        source.onerror = () => reject(new Error('the stream failed'));
    })"""
    assert page.evaluate(script, title) == title
