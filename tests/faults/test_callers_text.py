"""Rows U-A1 to U-A7 at the deployed doors: how text of callers leaves, read from the mail server."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.doors import Door
from tests.helpers import copies, in_state, letter
from tests.unit import header_reader
from tests.unit.header_reader import Mailbox

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

INJECTION = "=?utf-8?q?a=0D=0AReply-To:_eve=40evil.example=0D=0A=0D=0A<h1>pay_here</h1>?="
SECOND_FROM = "Q =?utf-8?q?hi=0D=0AFrom:_Boss_<boss=40example.com>=0D=0AX:?="
LONG_NAME = "Doe, John (Example International Holdings Group, Purchasing Department South)"


def arrived(sandbox: Sandbox, cast: Cast, message: str) -> bytes:
    """The bytes of an accepted message as the mail server took them."""
    sent = in_state(cast, message, "sent")
    (copy,) = copies(sandbox, sent["message_id"])
    return sandbox.mail.raw(copy["sequence"])


@pytest.mark.parametrize(
    "subject",
    [
        f"Order {INJECTION}",
        SECOND_FROM,
        "Réf =?utf-8?q?=E9t=E9?= 2026",
        "Ваш заказ принят и будет доставлен в течение двух рабочих дней",
        "20 customers [REF-1495] 123456 invoice Your [REF-1495] all Straße Re: ご注文 für semaines",
    ],
    ids=["injection", "second From", "broken word", "Russian", "mixed"],
)
def test_ua1_a_subject_arrives_as_the_text_that_it_is(
    sandbox: Sandbox, cast: Cast, connected: dict[str, Any], door: Door, subject: str
) -> None:
    name = f"{subject}, (Shop)"
    sent = letter(
        connected["id"],
        subject=subject,
        to=[{"address": "you@example.net", "name": name}],
        headers={"X-Tag": subject},
    )

    message = arrived(sandbox, cast, door.accepts(sent))

    names = [name for name, _ in header_reader.fields(message) if name != "Received"]
    assert names.count("From") == names.count("Subject") == names.count("To") == 1
    assert "Reply-To" not in names
    assert header_reader.text(header_reader.field(message, "Subject")) == subject
    assert header_reader.text(header_reader.field(message, "X-Tag")) == subject
    assert header_reader.mailboxes(header_reader.field(message, "To")) == [Mailbox("you@example.net", name)]
    (sender,) = header_reader.mailboxes(header_reader.field(message, "From"))
    assert sender.address == connected["address"]


def test_ua2_a_long_name_with_commas_is_one_recipient(
    sandbox: Sandbox, cast: Cast, connected: dict[str, Any], door: Door
) -> None:
    person = {"address": "you@example.net", "name": LONG_NAME}

    message = arrived(sandbox, cast, door.accepts(letter(connected["id"], to=[person])))

    assert header_reader.mailboxes(header_reader.field(message, "To")) == [
        Mailbox("you@example.net", LONG_NAME)
    ]


def test_ua5_a_name_of_twenty_thousand_characters_is_refused(connected: dict[str, Any], door: Door) -> None:
    person = {"address": "you@example.net", "name": "é " * 10_000}

    door.refuses(letter(connected["id"], to=[person]), 422, "to[0].name")


def test_ua6_three_hundred_inline_images_stand_side_by_side(
    sandbox: Sandbox, cast: Cast, connected: dict[str, Any], door: Door
) -> None:
    files = [{"filename": f"{n}.png", "content": "YQ==", "content_id": f"i{n}"} for n in range(300)]

    message = arrived(sandbox, cast, door.accepts(letter(connected["id"], html="x", attachments=files)))

    kinds = [part.get_content_type() for part in message_from_bytes(message, policy=policy.default).walk()]
    assert kinds.count("multipart/related") == 1
    assert kinds.count("image/png") == 300


def test_ua7_files_arrive_with_type_charset_and_method(
    sandbox: Sandbox, cast: Cast, connected: dict[str, Any], door: Door
) -> None:
    calendar = base64.b64encode(b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n").decode()
    files = [
        {"filename": "a.docx", "content": "UEs="},
        {
            "filename": "invite.ics",
            "content": calendar,
            "content_type": "text/calendar; method=REQUEST; charset=utf-8",
        },
        {"filename": "liste.txt", "content": "R3LDtsOfZQo=", "content_type": "text/plain; charset=utf-8"},
    ]

    message = arrived(sandbox, cast, door.accepts(letter(connected["id"], attachments=files)))

    parts = list(message_from_bytes(message, policy=policy.default).iter_attachments())
    assert [part.get_content_type() for part in parts] == [
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "text/calendar",
        "text/plain",
    ]
    assert parts[1].get_param("method") == "REQUEST"
    assert parts[2].get_content() == "Größe\n"
