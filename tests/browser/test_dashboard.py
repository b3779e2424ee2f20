"""`/admin/mount/` in chromium, under load and a strict Content Security Policy: wide and narrow, light and dark."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from browser.pages import open_admin, screenshot
from browser.serving import CREATE_DEMO, MIGRATE, manage, served
from harness import PYTHONPATH, TESTS, Server
from quickstart_site import PASSWORD, fresh_database

STATIC = ("collectstatic", "--no-input", "--verbosity=0")
FAULTS = ("/api/again-and-again", "/api/left-open", "/api/off-its-thread", "/api/fault")


class Load:
    """Requests that go on in threads of their own, until it is closed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=[paths])
            for paths in (["/api/items/1", "/api/paced"], ["/api/held?milliseconds=400"], FAULTS)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, paths: list[str]) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._over.wait(0.05):
                for path in paths:
                    client.get(path)

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def url(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dashboard")
    with ExitStack() as stack:
        env = {
            "DJANGO_SETTINGS_MODULE": "dashboard_settings",
            "PYTHONPATH": PYTHONPATH,
            "DATABASE_URL": stack.enter_context(fresh_database(folder)),
            "TEST_STATIC_ROOT": str(folder / "static"),
        }
        for command in (MIGRATE, CREATE_DEMO, STATIC):
            manage({**env, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}, *command)
        url = stack.enter_context(served(partial(Server, "dashboard_site:app", env=env), folder, prefix))
        stack.callback(Load(url).close)
        yield url


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, url: str) -> Iterator[Open]:
    """Opens the page as the demo user. What the browser complains of fails the test, a breach of the policy too."""
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        # Statuses are for the tests themselves: chromium asks for an icon that the site does not have.
        if message.type in ("error", "warning") and "the server responded with a status of" not in message.text:
            complaints.append(message.text)

    with ExitStack() as stack:

        def open_page(width: int = 1440, scheme: str = "light", javascript: bool = True) -> Page:
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme="dark" if scheme == "dark" else "light",
                java_script_enabled=javascript,
            )
            stack.callback(context.close)
            page = context.new_page()
            page.on("console", complain)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            open_admin(page, url)
            response = page.goto(f"{url}/admin/mount/")
            assert response is not None
            assert response.headers["content-security-policy"] == "default-src 'self'"
            return page

        yield open_page
    assert complaints == []


def row(page: Page, key: str, text: str) -> Locator:
    return page.locator(f"#mount-{key} tbody tr", has_text=text)


def cell(row: Locator, heading: str) -> Locator:
    return row.locator(f"td[data-label='{heading}']")


def assert_that_faults_are_told(page: Page) -> None:
    site = TESTS / "support" / "dashboard_site.py"
    lines = dict(enumerate(site.read_text().splitlines(), 1))
    repeats = next(line for line, text in lines.items() if "here it repeats itself" in text)
    strays = next(line for line, text in lines.items() if "here it is off its thread" in text)
    suspicion = row(page, "suspicions", "/api/again-and-again")
    expect(cell(suspicion, "Line")).to_have_text(f"{site}:{repeats}")
    expect(cell(suspicion, "Statement")).to_contain_text('FROM "shop_item"')
    expect(row(page, "leaks", f"{site}:{strays}")).to_have_count(1)
    expect(row(page, "leaks", "GET /api/left-open")).to_contain_text("left a transaction open on 'default'")
    assert "secret-" not in page.locator("#mount").inner_text()


def assert_that_it_fits(page: Page) -> None:
    """Nothing has to be scrolled sideways, and no cell is cut off."""
    width = page.locator("html").evaluate("it => it.clientWidth")
    assert page.locator("html").evaluate("it => it.scrollWidth") <= width
    wide = page.locator("#mount table, #mount figure, #mount dl").evaluate_all(
        "all => all.filter(it => it.getBoundingClientRect().right > innerWidth).length"
    )
    assert wide == 0


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_live(open_page: Open, width: int, scheme: str) -> None:
    """It counts on without being loaded again, draws its charts in the theme's colours, and fits the screen."""
    page = open_page(width, scheme)
    expect(page.locator("#mount-live")).to_have_text("Live.", timeout=15_000)
    requests = cell(row(page, "requests", "/api/items/{item_id}"), "Requests")
    before = int(requests.inner_text())
    expect(requests).not_to_have_text(str(before), timeout=15_000)
    assert int(requests.inner_text()) > before
    expect(page.locator(".mount-charts canvas")).to_have_count(3)
    expect(row(page, "requests", "/api/paced").locator("canvas")).to_have_count(1)
    light = page.locator("body").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    assert_that_faults_are_told(page)
    assert_that_it_fits(page)
    screenshot(page, f"dashboard-{width}-{scheme}")


@pytest.mark.parametrize("width", [1440, 390])
def test_without_javascript_the_tables_are_there(open_page: Open, width: int) -> None:
    """The same tables stand in the page itself, which loads itself again, and no chart leaves a gap."""
    page = open_page(width, javascript=False)
    assert_that_faults_are_told(page)
    expect(row(page, "requests", "/api/items/{item_id}")).to_have_count(1)
    expect(page.locator(".mount-charts")).to_be_hidden()
    expect(page.locator("meta[http-equiv=refresh][content='10']")).to_have_count(1)
    expect(row(page, "routes", "/api/items/{item_id}")).to_be_hidden()
    page.locator("#mount-routes summary").click()
    expect(row(page, "routes", "/api/items/{item_id}")).to_be_visible()
    assert_that_it_fits(page)
    screenshot(page, f"dashboard-{width}-plain")


def test_charts_follow_the_theme(open_page: Open) -> None:
    """The admin's own switch has the charts drawn anew in the other theme's colours."""
    page = open_page(scheme="light")
    canvas = page.locator("[data-chart=rate] canvas")
    expect(canvas).to_have_count(1)
    picture = "it => it.toDataURL()"
    before = canvas.evaluate(picture)
    page.locator("#header .theme-toggle").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.wait_for_timeout(500)
    assert canvas.evaluate(picture) != before


def test_who_logs_out_sees_no_more(open_page: Open, url: str) -> None:
    """Once the session is over the page's next connection is refused, and the page says that it is not live."""
    page = open_page()
    expect(page.locator("#mount-live")).to_have_text("Live.", timeout=15_000)
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#mount-live")).to_contain_text("Not live", timeout=15_000)
