"""The main job through the deployed functions: connect, send by every door, refresh, reconnect."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.clock import MINUTE, now
from sandbox.stack import DOUBT_SECONDS
from tests.helpers import copies, in_state, invoke, letter, until, with_expired_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast, ProviderName
    from sandbox.stack import Sandbox


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_a_mailbox_is_connected_and_sends(sandbox: Sandbox, cast: Cast, provider: ProviderName) -> None:
    """The account shows what was granted until when, and its first message arrives over TLS."""
    account = cast.connected(provider, f"owner-{secrets.token_hex(4)}@example.com")

    accepted = cast.api.post("/v1/messages", letter(account["id"]))

    sent = in_state(cast, accepted["id"], "sent")
    (arrived,) = copies(sandbox, sent["message_id"])
    assert account["status"] == "connected"
    assert account["token_expires_at"]
    assert account["refreshed_at"]
    assert arrived["user"] == account["address"]
    assert arrived["mail_from"] == account["address"]
    assert arrived["tls_version"].startswith("TLSv1.")
    assert accepted == {"id": accepted["id"], "state": "queued"}


def test_every_attempt_is_on_record(sandbox: Sandbox, cast: Cast) -> None:
    """A first refusal and the acceptance after it both show their phase, reply and times."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    sandbox.mail.inject("MAIL", code=451, text="4.3.0 Try again later", user=account["address"])

    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    deferred = in_state(cast, accepted["id"], "deferred")

    (attempt,) = deferred["attempts"]
    assert attempt["phase"] == "mail"
    assert attempt["outcome"] == "deferred"
    assert attempt["reply"]["code"] == 451
    assert attempt["reply"]["enhanced"] == "4.3.0"
    assert deferred["next_attempt_at"] > attempt["ended_at"]


def test_a_function_of_the_same_account_sends(sandbox: Sandbox, cast: Cast, alias: str) -> None:
    """An alias of `send` is a caller; the same JSON gives the same answer as over HTTPS."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")

    accepted = invoke(sandbox, "send", letter(account["name"]), Qualifier=alias)

    sent = in_state(cast, accepted["id"], "sent")
    assert len(copies(sandbox, sent["message_id"])) == 1


def test_the_function_without_an_alias_is_a_caller_of_its_own(sandbox: Sandbox, cast: Cast) -> None:
    """Nothing is allowed to who invokes the unqualified function until somebody allows it."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")

    answer = invoke(sandbox, "send", letter(account["id"]))

    assert answer["status"] == 403
    assert answer["error"]["fix"]


def test_attachments_and_all_recipients_arrive(sandbox: Sandbox, cast: Cast) -> None:
    """To, Cc and Bcc are all in the envelope, Bcc in no header, and a large attachment is whole."""
    import email
    from email.policy import default

    account = cast.connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")
    content = secrets.token_bytes(300_000)
    attachment = {"filename": "Zahlen für Ada.bin", "content": base64.b64encode(content).decode()}
    message = letter(
        account["id"],
        cc=[{"address": "mary@example.net", "name": "Mary"}],
        bcc=["hidden@example.net"],
        reply_to=["answers@example.net"],
        html="<p>Hello.</p>",
        attachments=[attachment],
        headers={"X-Order": "42"},
    )

    sent = in_state(cast, cast.api.post("/v1/messages", message)["id"], "sent")

    (arrived,) = copies(sandbox, sent["message_id"])
    (shown,) = sandbox.mail.messages(message_id=sent["message_id"])
    parsed = email.message_from_bytes(sandbox.mail.raw(shown["number"]), policy=default)
    (received,) = parsed.iter_attachments()
    assert set(arrived["recipients"]) == {"charles@example.net", "mary@example.net", "hidden@example.net"}
    assert "hidden" not in str(parsed)
    assert received.get_filename() == attachment["filename"]
    assert received.get_content() == content
    assert parsed["X-Order"] == "42"
    assert parsed["Reply-To"] == "answers@example.net"


def test_a_file_of_mail_is_relayed_byte_for_byte(sandbox: Sandbox, cast: Cast) -> None:
    """Raw MIME arrives as it was but for its Bcc header, whose recipients still get it."""
    address = f"owner-{secrets.token_hex(4)}@example.com"
    account = cast.connected("microsoft", address)
    head = (
        f"From: {address}\r\nTo: a@example.net\r\nMessage-ID: <{secrets.token_hex(8)}@example.com>\r\n"
        "Date: Sat, 21 Nov 2026 08:00:00 +0000\r\n"
    )
    body = "Subject:  Two  spaces stay\r\n\r\n.dots\r\n..dots\r\n.\r\nThe end\r\n"
    raw = (head + "Bcc: b@example.net\r\n" + body).encode()

    accepted = cast.api.post(
        "/v1/messages", {"account": account["id"], "raw": base64.b64encode(raw).decode()}
    )
    sent = in_state(cast, accepted["id"], "sent")

    (shown,) = sandbox.mail.messages(message_id=sent["message_id"])
    assert sandbox.mail.raw(shown["number"]) == (head + body).encode()
    assert set(shown["recipients"]) == {"a@example.net", "b@example.net"}


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_an_expired_token_is_refreshed_before_it_is_used(
    sandbox: Sandbox, cast: Cast, provider: ProviderName
) -> None:
    """The relay asks once, the provider is asked once, and the mail server never sees the old token."""
    account = with_expired_token(cast, provider)

    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    in_state(cast, accepted["id"], "sent")

    asked = [one for one in sandbox.provider.token_requests() if one.user == account["address"]]
    shown = cast.api.get(f"/v1/accounts/{account['id']}")
    assert [one.grant_type for one in asked] == ["authorization_code", "refresh_token"]
    assert shown["token_expires_at"] > account["token_expires_at"]
    assert shown["refreshed_at"] > account["refreshed_at"]


def test_the_schedule_refreshes_what_is_in_use(sandbox: Sandbox, cast: Cast) -> None:
    """A token that a relay has asked for and used is refreshed again before it ends."""
    account = with_expired_token(cast, "google")
    in_state(cast, cast.api.post("/v1/messages", letter(account["id"]))["id"], "sent")
    make_due(sandbox, account)

    def refreshes() -> list[Any]:
        asked = [one for one in sandbox.provider.token_requests() if one.user == account["address"]]
        return [one for one in asked if one.grant_type == "refresh_token"]

    # The index of what is due may be behind; the schedule comes again.
    until(lambda: len(refreshes()) > 1, meanwhile=lambda: invoke(sandbox, "refresh-tokens"))
    invoke(sandbox, "refresh-tokens")

    assert len(refreshes()) == 2


def make_due(sandbox: Sandbox, account: dict[str, Any]) -> None:
    """Puts the account's next refresh into the past, as if the time had gone by."""
    sandbox.emulator.session().client("dynamodb").update_item(
        TableName="mailgrant-sandbox-grants",
        Key={"account": {"S": account["id"]}},
        UpdateExpression="SET refresh_due_at = :past",
        ConditionExpression="attribute_exists(refresh_due_at)",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )


def test_a_dead_grant_is_diagnosed_and_reconnecting_keeps_the_account(
    sandbox: Sandbox, cast: Cast, later: Callable[[int], Gateway]
) -> None:
    """The account says what happened and how to mend it; its mail is held, and flows after that."""
    account = with_expired_token(cast, "google")
    sandbox.provider.revoke(account["address"])
    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    in_state(cast, accepted["id"], "deferred")
    time.sleep(DOUBT_SECONDS)
    later(MINUTE).relay.run(account["id"], until=now() + 15 * MINUTE)
    held = in_state(cast, accepted["id"], "held")
    shown = cast.api.get(f"/v1/accounts/{account['id']}")

    link = cast.api.post(f"/v1/accounts/{account['id']}/connect-link", {})
    cast.person().connect(link["connect_link"], mailbox=account["address"])

    sent = in_state(cast, accepted["id"], "sent")
    assert held["id"] == sent["id"]
    assert shown["status"] == "needs_reconnect"
    assert shown["problem"]["class"] == "reconnect"
    assert "econnect" in shown["problem"]["fix"]
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_a_wrong_client_secret_is_one_fact_of_the_connector(sandbox: Sandbox, cast: Cast) -> None:
    """The account shows as misconfigured, and the connector says that its secret is what is wrong."""
    connector = cast.connector("microsoft")
    account = with_expired_token(cast, "microsoft", connector=connector)
    sandbox.provider.inject("token", error="AADSTS7000222", client_id=connector["client_id"], times=2)

    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    in_state(cast, accepted["id"], "held", meanwhile=lambda: invoke(sandbox, "relay-due"))

    shown = cast.api.get(f"/v1/accounts/{account['id']}")
    assert shown["status"] == "misconfigured"
    assert "secret" in json.dumps(cast.api.get(f"/v1/connectors/{connector['id']}")["problem"]).lower()


def test_lists_are_paged_newest_first(cast: Cast) -> None:
    """Every message is on exactly one page."""
    account = cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com")
    made = [cast.api.post("/v1/messages", letter(account["id"], subject=str(n)))["id"] for n in range(5)]

    seen: list[str] = []
    cursor = ""
    while True:
        page = cast.api.get(f"/v1/messages?account={account['name']}&limit=2{cursor}")
        seen += [message["id"] for message in page["messages"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"

    assert seen == made[::-1]
