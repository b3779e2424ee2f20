"""The quickstart in chromium: at the root of its host, and under /pre behind nginx in both styles of proxy."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

from nginx import nginx
from quickstart_site import PASSWORD, Site, installed

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        # None is Playwright's own download, where the system has no browser.
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@contextlib.contextmanager
def bare(site: Site, folder: Path) -> Iterator[str]:
    with site.serve() as server:
        yield server.url


@contextlib.contextmanager
def stripped(site: Site, folder: Path) -> Iterator[str]:
    with site.serve("--root-path", "/pre") as server, nginx(folder, server.url, "/pre", strip=True) as url:
        yield url


@contextlib.contextmanager
def not_stripped(site: Site, folder: Path) -> Iterator[str]:
    with site.serve(FORCE_SCRIPT_NAME="/pre") as server, nginx(folder, server.url, "/pre", strip=False) as url:
        yield url


@pytest.fixture(scope="module", params=[bare, stripped, not_stripped], ids=lambda position: position.__name__)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site is for the browser."""
    folder = tmp_path_factory.mktemp("position")
    with installed(folder) as site, request.param(site, folder / "nginx") as url:
        yield url


class Seen:
    """What went wrong in a page: answers of 400 and more, and what the console calls an error."""

    def __init__(self, page: Page) -> None:
        self.stylesheets: list[Response] = []
        self.failures: list[str] = []
        page.on("response", self.response)
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.failures.append(str(error)))

    def response(self, response: Response) -> None:
        if response.request.resource_type == "stylesheet":
            self.stylesheets.append(response)
        if response.status >= 400 and not response.url.endswith("/favicon.ico"):
            self.failures.append(f"{response.status} {response.url}")

    def console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.failures.append(message.text)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    # No page asks a host beyond this machine.
    context.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), lambda route: route.abort())
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


@pytest.fixture
def seen(page: Page) -> Seen:
    return Seen(page)


@pytest.fixture
def title() -> str:
    return f"note {uuid4().hex}"


def screenshot(page: Page, name: str) -> None:
    """A picture for who asks for one by SCREENSHOTS=<folder>."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def post_note(page: Page, url: str, title: str) -> None:
    answer = page.request.post(f"{url}/api/notes", data=[{"title": title}])
    assert answer.status == 201


def log_in(page: Page) -> None:
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_the_admin_and_the_api_show_the_same_note(page: Page, seen: Seen, url: str, title: str) -> None:
    """A note added by hand in the styled admin is in what the browser gets from the API."""
    page.goto(f"{url}/admin/")
    log_in(page)
    page.wait_for_url(f"{url}/admin/")
    page.locator(".model-note a.addlink").click()
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist .success")).to_contain_text(title)
    screenshot(page, "admin")
    assert page.locator("#header").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(65, 118, 144)"
    assert len(seen.stylesheets) >= 5
    for answer in seen.stylesheets:
        assert (answer.status, answer.headers["content-type"]) == (200, 'text/css; charset="utf-8"')
    page.goto(f"{url}/api/notes?search={title.replace(' ', '+')}")
    assert [note["title"] for note in json.loads(page.locator("body").inner_text())] == [title]
    assert seen.failures == []


def test_the_docs_try_the_api_out(page: Page, seen: Seen, url: str, title: str) -> None:
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
    assert seen.failures == []


def test_the_home_page_links_to_both_halves(page: Page, seen: Seen, url: str, title: str) -> None:
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
    assert seen.failures == []


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
