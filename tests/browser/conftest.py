"""Chromium, a page of it, and what went wrong there. Each file says by a fixture `url` where its site is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No page reaches a host beyond this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


@pytest.fixture(scope="module", params=["", "/pre"], ids=["bare", "stripped"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Where a site is served: at the root of its host, and under a prefix that a proxy strips."""
    return str(request.param)


# Not of the session: its event loop would run on under the tests of other folders.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        # None is Playwright's own download, where the system has no browser.
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def failures() -> list[str]:
    """Answers of 400 and more, errors of the page and its console, and requests to any other place than the site.

    A breach of a Content Security Policy is an error of the console.
    """
    return []


@pytest.fixture
def page(browser: Browser, url: str, failures: list[str]) -> Iterator[Page]:
    """An empty page, without any cookie."""

    def request(request: Request) -> None:
        if not request.url.startswith((f"{url}/", "data:", "blob:")):
            failures.append(request.url)

    def response(response: Response) -> None:
        if response.status >= 400:
            failures.append(f"{response.status} {response.url}")

    def console(message: ConsoleMessage) -> None:
        # That an answer is of 400 and more is noted above, with its status.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            failures.append(message.text)

    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("request", request)
    page.on("response", response)
    page.on("console", console)
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
