"""Rows U-A5, U-A8, U-A9 and U-D7 at the deployed doors: whole messages, names of fields, and addresses."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.doors import Door
from tests.helpers import copies, in_state, letter
from tests.unit import header_reader

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


def whole(account: dict[str, Any], message: bytes) -> dict[str, Any]:
    """The request with a whole message, in which %s stands for the account's address."""
    content = message.replace(b"%s", account["address"].encode())
    return {"account": account["id"], "raw": base64.b64encode(content).decode()}


@pytest.mark.parametrize("before", [b"From nobody Mon Jan  1 00:00:00 2026\n", b"\xef\xbb\xbf"])
def test_ua8_what_stands_before_the_header_is_left_out(
    sandbox: Sandbox, cast: Cast, connected: dict[str, Any], door: Door, before: bytes
) -> None:
    message = before + b"From: %s\nTo: you@example.net\nSubject: mbox\n\nhi\n"

    sent = in_state(cast, door.accepts(whole(connected, message)), "sent")

    (copy,) = copies(sandbox, sent["message_id"])
    arrived = sandbox.mail.raw(copy["sequence"])
    assert [name for name, _ in header_reader.fields(arrived)] == [
        *("Date", "Message-ID", "From", "To", "Subject")
    ]
    assert arrived.partition(b"\r\n\r\n")[2] == b"hi\r\n"


@pytest.mark.parametrize(
    "message",
    [
        b"From: %s\nTo: you@example.net\nno field\n\nhi\n",
        b"From: %s\r\nTo: you@example.net\r\r\n\r\nhi\r\n",
        b"From: %s\nTo: you@example.net\nX-A: \xff\n\nhi\n",
        b"From: %s\nTo: " + b"," * 79_000 + b" you@@example.net\n\nhi\n",
        b"From: %s" + b"," * 79_000 + b"\nTo: you@example.net x\n\nhi\n",
    ],
    ids=["no field", "CR CR LF", "8 bits", "commas in To", "commas in From"],
)
def test_ua5_ua8_raw_mail_that_is_not_read_alike_is_refused(
    connected: dict[str, Any], door: Door, message: bytes
) -> None:
    door.refuses(whole(connected, message), 422, "raw")


def test_ua9_a_header_is_given_once(connected: dict[str, Any], door: Door) -> None:
    twice = {"x-order": "1", "X-Order": "2"}

    door.refuses(letter(connected["id"], headers=twice), 422, "headers.X-Order")
    door.refuses(letter(connected["id"], headers={"rEPLY-TO": "a@b.example"}), 422, "headers.rEPLY-TO")


def test_ud7_an_address_of_a_local_network_is_one_for_messages_and_accounts(
    sandbox: Sandbox, cast: Cast, connected: dict[str, Any], door: Door
) -> None:
    own = f"ada-{secrets.token_hex(4)}@corp.local"
    account = cast.api.post("/v1/accounts", {"connector": connected["connector"], "address": own})

    sent = in_state(cast, door.accepts(letter(connected["id"], to=[own])), "sent")

    assert account["address"] == own
    (copy,) = copies(sandbox, sent["message_id"])
    assert copy["recipients"] == [own]
