""" "Authorize" of Swagger UI in chromium: with an API key and with a bearer token, and without either."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Response, expect

from browser.pages import screenshot
from browser.serving import library

# Two users, so that an answer tells which of the credentials has been taken.
USERS = """
from django.contrib.auth.models import User
from project.library.models import Key
Key.objects.create(key="key-of-ada", user=User.objects.create_user("ada"))
User.objects.create_user("grace")
"""


@pytest.fixture(scope="module")
def url(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("authorize")
    with library(folder, prefix, ("shell", "-c", USERS), DJANGO_SETTINGS_MODULE="browser.authorize_settings") as url:
        yield url


@pytest.fixture
def page(page: Page, url: str) -> Page:
    """The docs page of somebody whom the site does not know."""
    page.goto(f"{url}/api/docs")
    return page


@contextlib.contextmanager
def dialog(page: Page, scheme: str) -> Iterator[Locator]:
    """The part of the dialog behind "Authorize" that is about `scheme`. The dialog is closed at the end."""
    page.locator(".scheme-container").get_by_role("button", name="Authorize").click()
    part = page.locator(".auth-container", has=page.locator("h4 code", has_text=re.compile(f"^{scheme}$")))
    yield part
    part.locator("button.btn-done").click()
    expect(page.locator(".dialog-ux")).to_have_count(0)


def authorize(page: Page, scheme: str, credential: str) -> None:
    with dialog(page, scheme) as part:
        part.locator("input").fill(credential)
        part.locator("button.authorize").click()
        expect(part).to_contain_text("Authorized")


def log_out(page: Page, scheme: str) -> None:
    with dialog(page, scheme) as part:
        part.get_by_role("button", name="Remove authorization").click()
        expect(part.locator("input")).to_be_visible()


def execute(page: Page, url: str) -> tuple[Response, Locator]:
    """What the browser gets for "Execute" of GET /me, and the row of the page that shows it."""
    operation = page.locator(".opblock-get", has=page.locator("[data-path='/me']"))
    if not operation.locator(".opblock-body").is_visible():
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
    with page.expect_response(f"{url}/api/me") as answered:
        operation.get_by_role("button", name="Execute").click()
    row = operation.locator(".live-responses-table tbody tr.response").first
    expect(row.locator(".response-col_status")).to_contain_text(str(answered.value.status))
    return answered.value, row


CREDENTIALS = [
    pytest.param("X-API-Key", "key-of-ada", "x-api-key", "key-of-ada", "ada", id="key"),
    pytest.param("bearer", "token-of-grace", "authorization", "Bearer token-of-grace", "grace", id="token"),
]


@pytest.mark.parametrize(("scheme", "credential", "header", "sent", "name"), CREDENTIALS)
def test_authorize_calls_as_the_user_of_the_credential(
    page: Page, url: str, failures: list[str], scheme: str, credential: str, header: str, sent: str, name: str
) -> None:
    """What is typed in at "Authorize" goes along with the call, without any cookie, and 200 with the name is shown."""
    authorize(page, scheme, credential)
    answer, row = execute(page, url)
    headers = answer.request.all_headers()
    assert headers[header] == sent
    assert "sessionid" not in headers.get("cookie", "")
    assert (answer.status, answer.json()) == (200, name)
    expect(row.locator(".response-col_description")).to_contain_text(f'"{name}"')
    screenshot(page, f"authorize-{name}")
    assert failures == []


def test_without_authorize_nobody_is_known(page: Page, url: str, failures: list[str]) -> None:
    """Where nothing was typed in at "Authorize", the same call is a 401, and the page shows what it says."""
    answer, row = execute(page, url)
    assert not {"x-api-key", "authorization"} & answer.request.all_headers().keys()
    assert (answer.status, answer.json()) == (401, {"detail": "Not authenticated"})
    expect(row.locator(".response-col_description")).to_contain_text("Not authenticated")
    assert failures == [f"401 {url}/api/me"]


@pytest.mark.parametrize("scheme", ["X-API-Key", "bearer"])
def test_a_wrong_credential_is_refused(page: Page, url: str, failures: list[str], scheme: str) -> None:
    """A credential of nobody is a 401 that says so, however sure the dialog looks."""
    authorize(page, scheme, "of-nobody")
    answer, row = execute(page, url)
    assert (answer.status, answer.json()) == (401, {"detail": "Invalid credentials"})
    expect(row.locator(".response-col_description")).to_contain_text("Invalid credentials")
    assert failures == [f"401 {url}/api/me"]


def test_logout_in_the_dialog_forgets_the_credential(page: Page, url: str, failures: list[str]) -> None:
    """After "Logout" in the dialog the call that has just been a 200 is a 401."""
    authorize(page, "X-API-Key", "key-of-ada")
    assert execute(page, url)[0].status == 200
    log_out(page, "X-API-Key")
    assert execute(page, url)[0].status == 401
    assert failures == [f"401 {url}/api/me"]
