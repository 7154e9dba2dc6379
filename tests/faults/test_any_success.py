"""Row U-B1 at the deployed application: a 2yz that nobody knows means that the server took it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers import copies, in_state, letter

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


@pytest.fixture
def account(cast: Cast) -> dict[str, Any]:
    """A connected Microsoft mailbox of its own."""
    return cast.connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("MAIL", 251, "ok"),
        ("MAIL", 200, "ok"),
        ("RCPT", 252, "2.1.5 will try"),
        ("RCPT", 200, "ok"),
        ("DOT", 251, "2.0.0 forwarded"),
        ("DOT", 252, "queued"),
        ("DOT", 200, "Ok"),
    ],
)
def test_ub1_a_success_of_any_kind_sends_one_copy(
    sandbox: Sandbox, cast: Cast, account: dict[str, Any], command: str, code: int, text: str
) -> None:
    when = "after_store" if command == "DOT" else "before_store"
    sandbox.mail.inject(command, code=code, text=text, user=account["address"], when=when)

    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    record = in_state(cast, accepted["id"], "sent")

    assert len(record["attempts"]) == 1
    assert len(copies(sandbox, record["message_id"])) == 1
    assert record["attempts"][0]["reply"]["code"] == (code if command == "DOT" else 250)
