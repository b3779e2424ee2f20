"""Admin and docs in chromium, of projects with the API at the root of the host and Django under a prefix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from browser.pages import open_admin, screenshot
from moving.sites import PROJECTS, served


@pytest.fixture(scope="module", params=PROJECTS)
def project(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def url(project: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(project, "mounted", tmp_path_factory.mktemp(project)) as server:
        yield server.url


def test_the_admin_is_whole(page: Page, url: str, project: str, failures: list[str]) -> None:
    """A note is added in the admin under the prefix, with its styles and scripts; the API has it."""
    open_admin(page, url + PROJECTS[project])
    page.goto(f"{url}{PROJECTS[project]}/admin/notes/note/add/")
    page.get_by_label("Text").fill("from the admin")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist .success")).to_contain_text("from the admin")
    assert page.locator("#header").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(65, 118, 144)"
    screenshot(page, f"admin-{project}")
    assert failures == []


def test_the_docs_are_whole(page: Page, url: str, failures: list[str]) -> None:
    """Swagger UI at /docs shows the operations of the API, with files of the site alone, and calls one."""
    page.goto(f"{url}/docs")
    operation = page.locator(".opblock-get").first
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    screenshot(page, "docs")
    assert failures == []


def test_the_front_end_is_whole(page: Page, url: str, project: str, failures: list[str]) -> None:
    """The page at the root runs its script, which is served, and rewritten to, where the project says."""
    titles = {"spa_at_root": "Notes, ready", "rewritten": "Chat, ready"}
    if project in titles:
        page.goto(f"{url}/")
        expect(page).to_have_title(titles[project])
        page.goto(f"{url}/some/page")
        assert project != "spa_at_root" or page.title() == "Notes, ready"
        failures[:] = [failure for failure in failures if not failure.endswith(("/some/page", "/favicon.ico"))]
        assert failures == []
