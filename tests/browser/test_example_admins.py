"""The admin of each example in chromium: at the root of its host, and under /pre behind nginx, which strips it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from example_site import EXAMPLES, Example, started
from nginx import nginx

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class Site(NamedTuple):
    """An example that is being served, and where it is for the browser."""

    name: str
    example: Example
    url: str


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Example]]:
    with started(request.param, tmp_path_factory.mktemp(request.param)) as example:
        yield request.param, example


@pytest.fixture(scope="module", params=["", "/pre"], ids=["bare", "stripped"])
def site(
    request: pytest.FixtureRequest, example: tuple[str, Example], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    name, copy = example
    prefix = request.param
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(copy.serve(*(("--root-path", prefix) if prefix else ())))
        url = server.url
        if prefix:
            url = stack.enter_context(nginx(tmp_path_factory.mktemp("proxy") / "nginx", url, prefix, strip=True))
        yield Site(name, copy, url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, site: Site, failures: list[str]) -> Iterator[Page]:
    """A page of the admin's index, after the login by what `seed` has printed."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on(
        "response",
        lambda answer: (
            failures.append(f"{answer.status} {answer.url}")
            if answer.status >= 400 and not answer.url.endswith("/favicon.ico")
            else None
        ),
    )
    page.goto(f"{site.url}/admin/")
    page.get_by_label("Username").fill(site.example.said("Admin user"))
    page.get_by_label("Password").fill(site.example.said("Password"))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{site.url}/admin/")
    yield page
    context.close()


def add(page: Page, model: str, fill: Callable[[Page], object]) -> None:
    page.locator(f".model-{model} a.addlink").first.click()
    fill(page)
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"example-{model}.png")
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


ADDED: dict[str, Callable[[Page, str], str]] = {"goatfish": a_simulation, "polls": a_poll, "books": a_book}


def test_what_the_admin_adds_is_in_the_api(page: Page, site: Site, failures: list[str]) -> None:
    """A row added by hand in the admin is in what the same browser then gets from the API, and nothing failed."""
    title = f"title {uuid4().hex}"
    path = ADDED[site.name](page, title)
    assert page.locator("#header").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(65, 118, 144)"
    page.goto(f"{site.url}{path}")
    found: list[dict[str, Any]] = json.loads(page.locator("body").inner_text())
    assert [row for row in found if title in row.values()]
    assert failures == []
