"""The docs pages in chromium: with files of the site alone, under their own Content Security Policy."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from harness import TESTS, Server
from nginx import nginx
from quickstart_site import PASSWORD, fresh_database

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def manage(env: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=TESTS,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": str(TESTS), **env},
        check=True,
        capture_output=True,
    )


@contextlib.contextmanager
def site(folder: Path, prefix: str, **env: str) -> Iterator[str]:
    """Where the library's site is for the browser: by itself, or behind nginx, which strips `prefix`."""
    with contextlib.ExitStack() as stack:
        env["DATABASE_URL"] = stack.enter_context(fresh_database(folder))
        env["TEST_DOCS_ACCESS"] = "staff"
        manage(env, "migrate", "--verbosity=0")
        manage(
            {**env, "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
            *("createsuperuser", "--no-input", "--username=demo", "--email=demo@example.com"),
        )
        if "TEST_STATIC_ROOT" in env:
            manage(env, "collectstatic", "--verbosity=0", "--no-input")
        options = ("--root-path", prefix) if prefix else ()
        server = stack.enter_context(Server("project.library.asgi:app", *options, env=env))
        if prefix:
            yield stack.enter_context(nginx(folder / "nginx", server.url, prefix, strip=True))
        else:
            yield server.url


POSITIONS: dict[str, tuple[str, dict[str, str]]] = {
    "bare": ("", {}),
    "stripped": ("/pre", {"TEST_CSRF_COOKIE_HTTPONLY": "1"}),
    "manifest": ("", {"DJANGO_SETTINGS_MODULE": "static_settings", "TEST_STATIC_ROOT": "collected"}),
}


@pytest.fixture(scope="module", params=POSITIONS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("docs")
    prefix, env = POSITIONS[request.param]
    if "TEST_STATIC_ROOT" in env:
        env = {**env, "TEST_STATIC_ROOT": str(folder / env["TEST_STATIC_ROOT"])}
    with site(folder, prefix, **env) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def failures() -> list[str]:
    """Errors of the page and its console (a breach of the policy is one), and requests to any other host."""
    return []


@pytest.fixture
def page(browser: Browser, url: str, failures: list[str]) -> Iterator[Page]:
    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            failures.append(message.text)

    def request(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            failures.append(request.url)

    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("console", console)
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("request", request)
    yield page
    context.close()


def log_in(page: Page) -> None:
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def open_docs(page: Page, url: str, path: str, failures: list[str]) -> None:
    """Asked for by somebody who has to log in first."""
    page.goto(f"{url}/api{path}")
    page.wait_for_url(re.compile("/admin/login/"))
    log_in(page)
    page.wait_for_url(f"{url}/api{path}")
    failures.clear()  # Those of the login page, whose styles not every one of these sites serves.
    page.reload()


def screenshot(page: Page, name: str) -> None:
    """A picture for who asks for one by SCREENSHOTS=<folder>."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_swagger_ui_calls_as_whoever_is_logged_in(page: Page, url: str, failures: list[str]) -> None:
    """After the login the page comes, and "Try it out" of an unsafe call sends the CSRF token by itself."""
    open_docs(page, url, "/docs", failures)
    operation = page.locator(".opblock-post", has=page.locator("[data-path='/bodyless']"))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response(f"{url}/api/bodyless") as answered:
        operation.get_by_role("button", name="Execute").click()
    assert "x-csrftoken" in answered.value.request.all_headers()
    assert answered.value.status == 200
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    screenshot(page, "swagger-ui")
    assert page.locator(".opblock-post").first.evaluate("it => getComputedStyle(it).borderRadius") == "4px"
    assert failures == []


def test_the_token_of_a_login_in_the_page_itself(page: Page, url: str, failures: list[str]) -> None:
    """A login by "Try it out" changes the token, and the page sends the new one; with CSRF_COOKIE_HTTPONLY reloaded."""
    open_docs(page, url, "/docs", failures)
    page.locator(".opblock-summary-control", has=page.locator("[data-path='/auth/login']")).click()
    login = page.locator(".opblock-post", has=page.locator("[data-path='/auth/login']"))
    login.get_by_role("button", name="Try it out").click()
    login.locator("textarea").fill(f'{{"username": "demo", "password": "{PASSWORD}"}}')
    with page.expect_response(f"{url}/api/auth/login") as answered:
        login.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    if any(cookie["name"] == "csrftoken" and cookie["httpOnly"] for cookie in page.context.cookies()):
        page.goto("about:blank")  # Swagger UI complains of the place in its own URL when it is loaded with it.
        page.goto(f"{url}/api/docs")
    page.locator(".opblock-summary-control", has=page.locator("[data-path='/bodyless']")).click()
    operation = page.locator(".opblock-post", has=page.locator("[data-path='/bodyless']"))
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response(f"{url}/api/bodyless") as answered:
        operation.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    assert failures == []


def test_redoc_shows_the_api(page: Page, url: str, failures: list[str]) -> None:
    """ReDoc shows the operations in its own style, and its search finds one."""
    open_docs(page, url, "/redoc", failures)
    expect(page.locator("h1").first).to_contain_text("FastAPI")
    expect(page.get_by_role("heading", name="Bodyless")).to_be_visible()
    page.get_by_placeholder("Search").fill("bodyless")
    expect(page.locator("[data-role='search:results'] li").first).to_contain_text("Bodyless")
    screenshot(page, "redoc")
    assert page.locator(".menu-content").evaluate("it => getComputedStyle(it).position") == "sticky"
    assert failures == []


def test_the_admin_leads_to_the_docs(page: Page, url: str, failures: list[str]) -> None:
    """The index of the admin has a link to each docs page."""
    page.goto(f"{url}/admin/")
    log_in(page)
    page.wait_for_url(f"{url}/admin/")
    screenshot(page, "admin-index")
    failures.clear()
    page.get_by_role("link", name="Swagger UI").click()
    expect(page.locator(".swagger-ui .title")).to_contain_text("FastAPI")
    assert failures == []
