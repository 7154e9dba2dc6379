"""A mailbox owner with a real browser goes the whole way: link, provider, callback, result."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.pages.chromium import browser, needs_chromium, picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from sandbox.cast import Cast, ProviderName
    from sandbox.stack import Sandbox

__all__ = ["browser"]
pytestmark = needs_chromium


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window without cookies and without JavaScript, which takes the sandbox's certificates."""
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False)
    yield context.new_page()
    context.close()


def sign_in(page: Page, mailbox: str) -> None:
    """Types the mailbox at the provider's sign-in page."""
    page.fill("#mailbox", mailbox)
    page.click("#next")


def invited(cast: Cast, provider: ProviderName) -> dict[str, Any]:
    """An account that waits for its owner."""
    address = cast.mailbox(provider, f"owner-{secrets.token_hex(4)}@example.com")
    return cast.account(cast.connector(provider), address)


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_an_owner_connects_a_mailbox(cast: Cast, page: Page, provider: ProviderName) -> None:
    """Each page is shown by Chromium under its own policy; the last one has a clean address."""
    account = invited(cast, provider)

    page.goto(account["connect_link"])
    picture(page, f"flow-{provider}-1-link")
    page.click("text=Continue to")
    picture(page, f"flow-{provider}-2-sign-in")
    sign_in(page, account["address"])
    picture(page, f"flow-{provider}-3-consent")
    page.click("#accept")
    page.wait_for_url("**/authorizations/*")
    picture(page, f"flow-{provider}-4-connected")

    assert account["address"] in page.inner_text("h1")
    assert "?" not in page.url
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_an_owner_refuses_and_thinks_again(cast: Cast, page: Page) -> None:
    """Refusing saves nothing and offers the way back; the same link then connects."""
    account = invited(cast, "google")
    page.goto(account["connect_link"])
    page.click("text=Continue to")
    sign_in(page, account["address"])

    page.click("#refuse")
    page.wait_for_url("**/authorizations/*")
    picture(page, "flow-refused")
    refused = cast.api.get(f"/v1/accounts/{account['id']}")["status"]
    page.click("text=Try again")
    page.click("text=Continue to")
    if page.locator("#mailbox").count():
        sign_in(page, account["address"])
    page.click("#accept")
    page.wait_for_url("**/authorizations/*")

    assert refused == "disconnected"
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_an_owner_picks_another_mailbox(sandbox: Sandbox, cast: Cast, page: Page) -> None:
    """The page names both mailboxes; nothing is saved."""
    account = invited(cast, "microsoft")
    other = cast.mailbox("microsoft", f"other-{secrets.token_hex(4)}@example.com")
    page.goto(account["connect_link"])
    page.click("text=Continue to")

    sign_in(page, other)
    page.click("#accept")
    page.wait_for_url("**/authorizations/*")
    picture(page, "flow-wrong-mailbox")

    shown = page.inner_text("main")
    assert other in shown
    assert account["address"] in shown
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "disconnected"


def test_an_owner_unticks_the_permission_to_send(cast: Cast, page: Page) -> None:
    """The page says which box has to be ticked."""
    account = invited(cast, "google")
    page.goto(account["connect_link"])
    page.click("text=Continue to")
    sign_in(page, account["address"])

    page.uncheck("input[value='https://mail.google.com/']")
    page.click("#accept")
    page.wait_for_url("**/authorizations/*")
    picture(page, "flow-scope-missing")

    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "disconnected"
    assert "box" in page.inner_text("main").lower()


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_an_owner_looks_at_what_is_connected_and_ends_it(
    cast: Cast, page: Page, provider: ProviderName
) -> None:
    """From the page of the connected mailbox to its own page, through the provider, and to the end."""
    account = invited(cast, provider)
    page.goto(account["connect_link"])
    page.click("text=Continue to")
    sign_in(page, account["address"])
    page.click("#accept")
    page.wait_for_url("**/authorizations/*")

    page.click("text=Open your page")
    picture(page, f"flow-{provider}-5-first-page")
    first = page.url
    page.click("button")
    page.locator("#mailbox, #accept, a.danger").wait_for()
    if page.locator("#mailbox").count():
        sign_in(page, account["address"])
        page.locator("#accept, a.danger").wait_for()
    if page.locator("#accept").count():
        page.click("#accept")
    page.wait_for_url(first)
    picture(page, f"flow-{provider}-6-own-page", whole=True)
    shown = page.inner_text("main")
    page.click("a.danger")
    picture(page, f"flow-{provider}-7-asked")
    asked = cast.api.get(f"/v1/accounts/{account['id']}")["status"]
    page.click("button")
    page.wait_for_url(first)
    picture(page, f"flow-{provider}-8-disconnected")

    assert account["address"] in shown
    assert asked == "connected"
    assert "is disconnected" in page.inner_text("h1")
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "disconnected"


def test_mail_in_the_sandbox_can_be_read_in_a_browser(sandbox: Sandbox, cast: Cast, page: Page) -> None:
    """The mailbox page shows what arrived, and a message opens from there."""
    from tests.helpers import in_state, letter

    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    subject = f"Seen in a browser {secrets.token_hex(4)}"
    in_state(cast, cast.api.post("/v1/messages", letter(account["id"], subject=subject))["id"], "sent")

    page.goto(sandbox.mail_url)
    picture(page, "sandbox-mailboxes")
    page.click(f"text={subject}")
    picture(page, "sandbox-message")

    assert subject in page.inner_text("body")
