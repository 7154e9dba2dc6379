"""Rows B01-B04 B12 B15 B18: callbacks that must change nothing; the provider's log is the oracle."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest

from chalicelib.clock import MINUTE, now
from sandbox.person import heading

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.person import Person
    from sandbox.stack import Sandbox


@pytest.fixture
def waiting(cast: Cast) -> tuple[Person, dict[str, Any], str]:
    """A person with their account and the callback that their browser is about to follow."""
    address = cast.mailbox("google", f"owner-{secrets.token_hex(4)}@example.com")
    account = cast.account(cast.connector("google"), address)
    person = cast.person()
    return person, account, person.callback(account["connect_link"], mailbox=address)


Waiting = tuple["Person", dict[str, Any], str]


def exchanges(sandbox: Sandbox, account: dict[str, Any]) -> int:
    """How many codes of this mailbox the provider has been shown."""
    asked = sandbox.provider.token_requests()
    return len([one for one in asked if one.user == account["address"]])


def changed(callback: str, **changes: str | None) -> str:
    """The callback with some parameters replaced, or removed where None."""
    parts = urlsplit(callback)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    return urlunsplit(
        parts._replace(query=urlencode({name: text for name, text in query.items() if text is not None}))
    )


def test_B01_no_state(sandbox: Sandbox, waiting: Waiting) -> None:
    """400, and no token request."""
    person, account, callback = waiting

    shown = person.session.get(changed(callback, state=None), timeout=30)

    assert shown.status_code == 400
    assert exchanges(sandbox, account) == 0


def test_B02_unknown_state(sandbox: Sandbox, waiting: Waiting) -> None:
    """400, and no token request."""
    person, account, callback = waiting

    shown = person.session.get(changed(callback, state=secrets.token_urlsafe(32)), timeout=30)

    assert shown.status_code == 400
    assert exchanges(sandbox, account) == 0


def test_B02_state_of_eleven_minutes_ago(sandbox: Sandbox, waiting: Waiting) -> None:
    """400 although its row is still there: expiry is compared, not left to DynamoDB's late deletion."""
    from chalicelib import ids

    person, account, callback = waiting
    state = parse_qs(urlsplit(callback).query)["state"][0]
    sandbox.emulator.session().client("dynamodb").update_item(
        TableName="mailgrant-sandbox-authorizations",
        Key={"authorization": {"S": ids.authorization_id(state)}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": str(now() - MINUTE)}},
    )

    shown = person.session.get(callback, timeout=30)

    assert shown.status_code == 400
    assert exchanges(sandbox, account) == 0


@pytest.mark.parametrize("cookie", [None, "somebody-else"], ids=["no cookie", "another browser's"])
def test_B03_another_browser(sandbox: Sandbox, cast: Cast, waiting: Waiting, cookie: str | None) -> None:
    """403 and no token request; the browser that began can still finish."""
    person, account, callback = waiting
    other = cast.person()
    if cookie:
        other.session.cookies.set("__Host-mailgrant", secrets.token_urlsafe(32), secure=True)

    shown = other.session.get(callback, timeout=30)

    assert shown.status_code == 403
    assert exchanges(sandbox, account) == 0
    assert person.session.get(callback, timeout=30).ok
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_B04_a_state_that_was_used_before(sandbox: Sandbox, waiting: Waiting) -> None:
    """The second callback says that it is done already; no second exchange."""
    person, account, callback = waiting
    person.session.get(callback, timeout=30)

    again = person.session.get(callback, timeout=30)

    assert again.ok
    assert "already" in again.text.lower()
    assert exchanges(sandbox, account) == 1


def test_B12_another_mailbox_was_approved(cast: Cast) -> None:
    """Nothing is saved; the page names both mailboxes and offers to try again."""
    wanted = cast.mailbox("microsoft", f"wanted-{secrets.token_hex(4)}@example.com")
    other = cast.mailbox("microsoft", f"other-{secrets.token_hex(4)}@example.com")
    account = cast.account(cast.connector("microsoft"), wanted)

    shown = cast.person().connect(account["connect_link"], mailbox=other)

    assert wanted in shown.text
    assert other in shown.text
    assert "Try again" in shown.text
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "disconnected"


def test_B12_the_right_mailbox_after_a_wrong_one(cast: Cast) -> None:
    """The connect link still works after a wrong mailbox."""
    wanted = cast.mailbox("google", f"wanted-{secrets.token_hex(4)}@example.com")
    other = cast.mailbox("google", f"other-{secrets.token_hex(4)}@example.com")
    account = cast.account(cast.connector("google"), wanted)
    cast.person().connect(account["connect_link"], mailbox=other)

    cast.person().connect(account["connect_link"], mailbox=wanted)

    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_B15_the_send_scope_was_unticked(cast: Cast) -> None:
    """Nothing is saved, and the page says which permission is missing."""
    address = cast.mailbox("google", f"owner-{secrets.token_hex(4)}@example.com")
    account = cast.account(cast.connector("google"), address)

    shown = cast.person().connect(
        account["connect_link"], mailbox=address, untick=["https://mail.google.com/"]
    )

    assert "permission" in heading(shown.text).lower() + shown.text.lower()
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "disconnected"


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_B18_not_a_browser_coming_back(sandbox: Sandbox, cast: Cast, waiting: Waiting, method: str) -> None:
    """No exchange happens, and the browser that comes back afterwards can still finish."""
    person, account, callback = waiting

    shown = person.session.request(method, callback, timeout=30, allow_redirects=False)

    assert shown.status_code == 405
    assert exchanges(sandbox, account) == 0
    person.session.get(callback, timeout=30)
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_B18_opening_the_connect_link_starts_nothing(sandbox: Sandbox, cast: Cast) -> None:
    """A mail scanner that opens the link, often, uses up nothing of it."""
    address = cast.mailbox("google", f"owner-{secrets.token_hex(4)}@example.com")
    account = cast.account(cast.connector("google"), address)
    scanner = cast.person()

    opened = [
        scanner.session.request(method, account["connect_link"], timeout=30)
        for method in ("GET", "HEAD") * 12
    ]

    assert {page.status_code for page in opened} == {200}
    assert not scanner.session.cookies
    cast.person().connect(account["connect_link"], mailbox=address)
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"
