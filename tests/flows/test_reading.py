"""An account sends with one connector and reads with another, end to end through the deployed functions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from chalicelib.providers.catalogue import MICROSOFT
from tests.helpers import copies, in_state, letter

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.dovecot import Dovecot
    from sandbox.stack import Sandbox

IMAP = MICROSOFT.protocol_scopes["imap"]


def verified(cast: Cast, account: dict[str, Any], protocol: str) -> dict[str, Any]:
    """What the account's server of that protocol says to a sign-in."""
    found: dict[str, Any] = cast.api.post(f"/v1/accounts/{account['id']}/verify?protocol={protocol}", {})
    return found


def test_an_account_sends_with_one_connector_and_reads_with_another(
    sandbox: Sandbox, cast: Cast, dovecot: Dovecot
) -> None:
    """As where mail goes out and comes in by two registered apps: each is asked for what it needs alone."""
    mailbox = cast.mailbox("microsoft", f"desk-{secrets.token_hex(4)}@example.com")
    server = {"imap_host": "127.0.0.1", "imap_port": dovecot.ports["imaps"]}
    incoming = cast.connector("microsoft", asked={"scopes": [IMAP], "facts": server})
    reader = cast.account(incoming, mailbox, name=f"incoming-{secrets.token_hex(4)}")
    account = cast.account(cast.connector("microsoft"), mailbox, reads_with=reader["name"])
    for one in (reader, account):
        cast.person().connect(one["connect_link"], mailbox=mailbox).raise_for_status()

    by_smtp, by_imap = verified(cast, account, "smtp"), verified(cast, account, "imap")
    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    (arrived,) = copies(sandbox, in_state(cast, accepted["id"], "sent")["message_id"])
    report = cast.api.get(f"/v1/accounts/{account['id']}/doctor")
    cast.api.post(f"/v1/accounts/{reader['id']}/disconnect", {})
    after = verified(cast, account, "imap")

    assert account["reads_with"] == reader["id"]
    assert (by_smtp["ok"], by_smtp["steps"][0]["said"]) == (True, "a usable one"), by_smtp
    assert (by_imap["ok"], by_imap["steps"][0]["said"]) == (
        True,
        f"a usable one, of the account {reader['name']}",
    ), by_imap
    assert f"Login: user=<{mailbox}>" in dovecot.log()
    assert arrived["user"] == mailbox
    assert next(one["result"] for one in report["checks"] if one["check"] == "reads_with") == "pass"
    assert after["ok"] is False
    assert after["diagnosis"]["fix"].startswith(f"Mend the account {reader['name']}: ")
    assert verified(cast, account, "smtp")["ok"] is True
