"""What is done in pages of more than one site."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page

from quickstart_site import PASSWORD


def log_in(page: Page, name: str = "demo", password: str = PASSWORD) -> None:
    """Sends the form of the admin's login page, which the page must show."""
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def open_admin(page: Page, url: str, name: str = "demo", password: str = PASSWORD) -> None:
    """The index of the admin, after the login."""
    page.goto(f"{url}/admin/")
    log_in(page, name, password)
    page.wait_for_url(f"{url}/admin/")


def screenshot(page: Page, name: str) -> None:
    """A picture for who asks for one by SCREENSHOTS=<folder>."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")
