"""The connect pages in a real browser: how they look, what they load, whether they fit a phone.

Screenshots are left under .sandbox/screenshots for people to look at.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.errors import Forbidden, MalformedRequest, NotFound, Unavailable
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT
from chalicelib.web.connect import result_page
from chalicelib.web.pages import page, problem
from tests.pages.chromium import browser, needs_chromium, picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalice.app import Response
    from playwright.sync_api import Browser, Page

LARGEST = 30_000
LINK = "L" * 32
MAILBOX = "sales.and.customer-care@northern-branch.example"

__all__ = ["browser"]
pytestmark = needs_chromium


def confirm(facts: Any) -> Response:
    """The page of a connect link."""
    return page(
        "confirm",
        leaves=True,
        address=MAILBOX,
        asked_by="Northern Branch order desk",
        provider=facts.name.capitalize(),
        permissions=facts.scopes_in_words,
        expires="2026-01-31, 12:00 UTC",
    )


def outcome(kind: str, *, retry: str | None = LINK, **more: Any) -> Response:
    """The result page of an outcome."""
    return result_page({"outcome": kind, "expected": MAILBOX, **more}, retry=retry)


DIAGNOSIS = {
    "class": "admin",
    "code": "AADSTS7000222",
    "message": "The client secret of the connector has expired.",
    "fix": "An administrator makes a new secret in Entra under Certificates & secrets and saves it here.",
}
AGAIN = "Begin again from your connect link, in this browser."

PAGES = {
    "confirm-microsoft": lambda: confirm(MICROSOFT),
    "confirm-google": lambda: confirm(GOOGLE),
    "connected": lambda: outcome("connected"),
    "connected-elsewhere": lambda: result_page({"outcome": "connected"}, retry=None, again=True),
    "refused": lambda: outcome("refused"),
    "refused-elsewhere": lambda: result_page({"outcome": "refused"}, retry=None),
    "wrong-mailbox": lambda: outcome("wrong_mailbox", found="someone.else@personal.example"),
    "wrong-mailbox-unproven": lambda: outcome("wrong_mailbox", found="s.one@personal.example", unproven=True),
    "wrong-mailbox-elsewhere": lambda: result_page({"outcome": "wrong_mailbox"}, retry=None),
    "scope-missing": lambda: outcome("scope_missing", missing_scopes=list(GOOGLE.required_scopes)),
    "identity-missing": lambda: outcome("identity_missing"),
    "failed": lambda: outcome("failed", diagnosis=DIAGNOSIS),
    "malformed-callback": lambda: problem(MalformedRequest("This sign-in is not known here.", fix=AGAIN)),
    "wrong-browser": lambda: problem(
        Forbidden("It belongs to another browser.", fix=AGAIN, code="wrong_browser")
    ),
    "link-used": lambda: problem(
        NotFound(
            "The mailbox has been connected with this link.", fix="Nothing is left to do.", code="link_used"
        )
    ),
    "unavailable": lambda: problem(Unavailable("The store did not answer.", fix="Load this page again.")),
}


@dataclass
class Site:
    """Serves the pages on this machine and notes every request."""

    url: str = ""
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server of the pages, with their own status and headers."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append(self.path)
            response = PAGES[self.path.strip("/")]()
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(response.body.encode())

        def log_message(self, *_: Any) -> None:
            """Keeps the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield site
        server.shutdown()
        thread.join()


@dataclass
class Window:
    """One browser window: how it looks, and what its console complains of."""

    look: str
    page: Page
    complaints: list[str]


@pytest.fixture(params=["desk", "phone", "dark"], scope="module")
def window(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Window]:
    """A wide window, a phone, and a window of somebody who likes it dark; one for all pages."""
    context = browser.new_context(
        viewport={"width": 360 if request.param == "phone" else 1000, "height": 800},
        color_scheme="dark" if request.param == "dark" else "light",
    )
    page = context.new_page()
    yield Window(request.param, page, watch(page))
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_loads_nothing(name: str, site: Site, window: Window) -> None:
    """No complaint in the console, no other request, no sideways scrolling; small."""
    page = window.page
    window.complaints.clear()
    site.requests.clear()

    answer = page.goto(f"{site.url}/{name}")
    picture(page, f"{name}-{window.look}", whole=True)

    assert answer is not None
    assert len(answer.body()) < LARGEST
    assert site.requests == [f"/{name}"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") == "14px"
    assert window.complaints == ([] if answer.ok else [f"{answer.status}"])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(name: str) -> None:
    """A language, one heading, a title, no script, nothing that only a picture says."""
    html = PAGES[name]().body

    assert '<html lang="en">' in html
    assert html.count("<h1") == 1
    assert "<script" not in html
    assert re.search(r"<title>\S.+</title>", html)
    assert html.count("<svg") == html.count('aria-hidden="true"')


def test_the_button_is_reached_by_the_keyboard(site: Site, browser: Browser) -> None:
    """The first stop of the tabulator on the confirm page, and visible there."""
    page = browser.new_page()
    page.goto(f"{site.url}/confirm-google")

    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.textContent") == "Continue to Google"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.close()


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
