"""The pages in a real browser: how they look, what they load, whether everybody can read them.

Screenshots are left under .sandbox/screenshots for people to look at; `make screenshots` copies those of the
documentation from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from chalicelib.web.pages import languages
from tests.pages.chromium import browser, needs_chromium, picture
from tests.pages.shown import PAGES, Site, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
LARGEST, LARGEST_PICTURE = 30_000, 150_000
TARGET = 44
"""Pixels that a finger needs."""

TOO_SMALL = f"""
[...document.querySelectorAll('button, a')].filter(one => {{
  const box = one.getBoundingClientRect()
  return box.height < {TARGET} || box.width < {TARGET}
}}).map(one => one.textContent)
"""

__all__ = ["browser"]
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The pages, on this machine."""
    with served() as site:
        yield site


@dataclass(frozen=True)
class Look:
    """How a reader looks at the pages."""

    language: str
    width: int = 1000
    scheme: str = "light"


LOOKS = {
    "desk": Look("en"),
    "phone": Look("de-DE,de;q=0.9,en;q=0.5", width=320),
    "dark": Look("zh-CN,zh;q=0.9", scheme="dark"),
}
"""Three readers, so that each language, each width and each scheme is seen with every page. German has the
longest words, and so the phone; 320 pixels are what WCAG 2.2 asks for (1.4.10)."""


def opened(browser: Browser, look: Look) -> BrowserContext:
    """A new window of a reader."""
    scheme: Any = look.scheme
    return browser.new_context(
        viewport={"width": look.width, "height": 800},
        color_scheme=scheme,
        extra_http_headers={"Accept-Language": look.language},
    )


@dataclass
class Window:
    """One browser window: whose it is, and what its console complains of."""

    look: str
    language: str
    page: Page
    complaints: list[str]


@pytest.fixture(params=LOOKS, scope="module")
def window(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Window]:
    """One for all pages."""
    look = LOOKS[request.param]
    context = opened(browser, look)
    page = context.new_page()
    yield Window(request.param, languages.choose(look.language).tag, page, watch(page))
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_loads_nothing_and_everybody_can_use_it(
    name: str, site: Site, window: Window
) -> None:
    """No complaint in the console or from axe-core, no other request, no sideways scrolling; small."""
    page = window.page
    window.complaints.clear()
    site.requests.clear()

    answer = page.goto(f"{site.url}/{name}")

    assert answer is not None
    assert len(answer.body()) < LARGEST
    assert site.requests == [f"/{name}"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") == "14px"
    assert page.evaluate("document.documentElement.lang") == window.language
    assert page.evaluate(TOO_SMALL) == []
    assert window.complaints == ([] if answer.ok else [f"{answer.status}"])
    if window.look == "desk":
        picture(page, name, whole=True)
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_needs_no_picture_and_no_script(name: str) -> None:
    """A language, one heading, a title, nothing that only a picture says, nobody else's address in it."""
    for language in map(languages.read, languages.LANGUAGES.values()):
        response = PAGES[name](language)
        html = response.body

        assert f'<html lang="{language.tag}">' in html
        assert response.headers["Content-Language"] == language.tag
        assert html.count("<h1") == 1
        assert re.search(r"<title>\S.+</title>", html)
        assert html.count("<svg") == html.count('aria-hidden="true"')
        assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|url\(|@import|\bon[a-z]+=", html)


def test_axe_finds_what_is_wrong(browser: Browser) -> None:
    """A page that says nothing to who cannot see it; else the tests above would prove nothing."""
    page = browser.new_page()
    page.set_content(
        "<main><h1>Here</h1><button style='color:#eee;background:#fff'>Grey</button><input></main>"
    )

    found = {one["id"] for one in Axe().run(page).response["violations"]}

    assert {"color-contrast", "html-has-lang", "label"} <= found
    page.close()


@pytest.mark.parametrize(
    ("name", "button"),
    [("confirm-google", "Continue to Google"), ("visit", "Sign in"), ("owner", "Disconnect…")],
)
def test_the_button_is_reached_by_the_keyboard(site: Site, browser: Browser, name: str, button: str) -> None:
    """The first stop of the tabulator, and visible there."""
    page = browser.new_page()
    page.goto(f"{site.url}/{name}")

    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.textContent") == button
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.close()


SHOWN = {
    "confirm": ("confirm-microsoft", Look("en", width=620)),
    "confirm-phone-dark": ("confirm-microsoft", Look("en", width=360, scheme="dark")),
    "connected": ("connected", Look("en", width=620)),
    "wrong-mailbox": ("wrong-mailbox", Look("en", width=620)),
    "owner": ("owner", Look("en", width=620)),
    "owner-dark": ("owner", Look("en", width=620, scheme="dark")),
    "disconnect": ("disconnect-microsoft", Look("en", width=620)),
    "confirm-german": ("confirm-google", Look("de", width=620)),
    "owner-chinese": ("owner", Look("zh", width=620)),
}
"""Pictures of the documentation."""


@pytest.mark.parametrize("name", SHOWN)
def test_the_documentation_has_its_picture(site: Site, browser: Browser, name: str) -> None:
    shown, look = SHOWN[name]
    context = opened(browser, look)
    page = context.new_page()

    page.goto(f"{site.url}/{shown}")
    made = picture(page, f"docs/{name}", whole=True)

    assert made.stat().st_size < LARGEST_PICTURE
    context.close()


def test_every_picture_is_in_the_documentation() -> None:
    """And none that is not made any more."""
    assert {path.stem for path in PICTURES.glob("*.png")} == set(SHOWN)


def watch(page: Page) -> list[str]:
    """What the console complains of; a page that is an error is noted by its status."""
    complaints: list[str] = []

    def note(message: Any) -> None:
        if message.type in {"error", "warning"}:
            status = re.search(r"status of (\d+)", message.text)
            complaints.append(status.group(1) if status else message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints
