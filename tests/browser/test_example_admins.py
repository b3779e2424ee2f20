"""The admin of each example in chromium: at the root of its host, and under /pre behind nginx, which strips it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from browser.pages import open_admin, screenshot
from browser.serving import served
from example_site import EXAMPLES, Example, started


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with started(request.param, tmp_path_factory.mktemp(request.param)) as example:
        yield example


@pytest.fixture(scope="module")
def url(example: Example, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(example.serve, tmp_path_factory.mktemp("proxy"), prefix) as url:
        yield url


@pytest.fixture
def page(page: Page, example: Example, url: str) -> Page:
    """A page of the admin's index, after the login by what `seed` has printed."""
    open_admin(page, url, example.said("Admin user"), example.said("Password"))
    return page


def add(page: Page, model: str, fill: Callable[[Page], object]) -> None:
    page.locator(f".model-{model} a.addlink").first.click()
    fill(page)
    screenshot(page, f"example-{model}")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist .success")).to_be_visible()


def a_simulation(page: Page, title: str) -> str:
    def fill(page: Page) -> None:
        page.get_by_label("Owner").select_option("demo")
        page.get_by_label("Name").fill(title)
        page.get_by_label("Start date").fill("2026-01-01")
        page.get_by_label("End date").fill("2026-01-08")

    add(page, "simulation", fill)
    return "/api/v1/simulations"


def a_poll(page: Page, title: str) -> str:
    def fill(page: Page) -> None:
        page.get_by_label("Question text").fill(title)
        page.locator("#id_choices-0-choice_text").fill("Yes")
        page.locator("#id_choices-1-choice_text").fill("No")

    add(page, "question", fill)
    return "/api/questions"


def a_book(page: Page, title: str) -> str:
    def fill(page: Page) -> None:
        page.get_by_label("Title").fill(title)
        page.get_by_label("Author").select_option("Joseph Roth")

    add(page, "book", fill)
    return "/v0/books"


def a_cost_centre(page: Page, title: str) -> str:
    def fill(page: Page) -> None:
        page.get_by_label("Tenant").select_option("North")
        page.get_by_label("Code").fill(title[-8:])  # once for each tenant
        page.get_by_label("Name").fill(title)

    add(page, "costcentre", fill)
    return "/admin/companies/costcentre/"  # The API asks for a token, which no browser has.


ADDED: dict[str, Callable[[Page, str], str]] = {
    "goatfish": a_simulation,
    "polls": a_poll,
    "books": a_book,
    "companies": a_cost_centre,
}


def test_what_the_admin_adds_is_in_the_api(page: Page, example: Example, url: str, failures: list[str]) -> None:
    """A row added by hand in the admin is in what the same browser then gets from the API, and nothing failed."""
    title = f"title {uuid4().hex}"
    path = ADDED[example.folder.name](page, title)
    assert page.locator("#header").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(65, 118, 144)"
    page.goto(f"{url}{path}")
    assert title in page.locator("body").inner_text()
    assert failures == []
