"""Debian's Chromium, without a window, for the tests of the pages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
SCREENSHOTS = Path(__file__).resolve().parents[2] / ".sandbox" / "screenshots"
PICTURE_TRIES = 3
PICTURE_PAUSE_MS = 500
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one module."""
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def picture(page: Page, name: str, *, whole: bool = False) -> Path:
    """Leaves a screenshot for people to look at; a busy Chromium sometimes needs a second try."""
    from playwright.sync_api import Error

    path = SCREENSHOTS / f"{name}.png"
    for _ in range(PICTURE_TRIES - 1):
        try:
            page.screenshot(path=path, full_page=whole)
        except Error:
            page.wait_for_timeout(PICTURE_PAUSE_MS)
        else:
            return path
    page.screenshot(path=path, full_page=whole)
    return path
