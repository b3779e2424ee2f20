"""The docs pages in chromium: with files of the site alone, under their own Content Security Policy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from browser.pages import log_in, open_admin, screenshot
from browser.serving import library
from quickstart_site import PASSWORD

COLLECT = ("collectstatic", "--verbosity=0", "--no-input")
POSITIONS: dict[str, tuple[str, dict[str, str]]] = {
    "bare": ("", {}),
    "stripped": ("/pre", {"TEST_CSRF_COOKIE_HTTPONLY": "1"}),
    "manifest": ("", {"DJANGO_SETTINGS_MODULE": "static_settings", "TEST_STATIC_ROOT": "collected"}),
}


@pytest.fixture(scope="module", params=POSITIONS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("docs")
    prefix, env = POSITIONS[request.param]
    commands = []
    if "TEST_STATIC_ROOT" in env:
        env = {**env, "TEST_STATIC_ROOT": str(folder / env["TEST_STATIC_ROOT"])}
        commands = [COLLECT]
    with library(folder, prefix, *commands, TEST_DOCS_ACCESS="staff", **env) as url:
        yield url


def open_docs(page: Page, url: str, path: str, failures: list[str]) -> None:
    """Asked for by somebody who has to log in first."""
    page.goto(f"{url}/api{path}")
    page.wait_for_url(re.compile("/admin/login/"))
    log_in(page)
    page.wait_for_url(f"{url}/api{path}")
    failures.clear()  # Those of the login page, whose styles not every one of these sites serves.
    page.reload()


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
    open_admin(page, url)
    screenshot(page, "admin-index")
    failures.clear()
    page.get_by_role("link", name="Swagger UI").click()
    expect(page.locator(".swagger-ui .title")).to_contain_text("FastAPI")
    assert failures == []
