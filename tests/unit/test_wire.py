"""Rows B30 B36 B37 B38 B39 B41: what reaches the server, byte for byte, and only under TLS."""

from __future__ import annotations

import base64
import re
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.errors import InvalidInput
from chalicelib.mail.outbox import Filter
from sandbox.mailserver.client import MailServerClient
from tests.unit.mail_world import World, post, running_post, world

if TYPE_CHECKING:
    from email.message import EmailMessage


__all__ = ["post", "running_post", "world"]

IN_CLEAR = {"EHLO", "STARTTLS"}
"""All that may be said before TLS."""

LONGEST_LINE = 998
"""RFC 5322, section 2.1.1."""


def accept_raw(world: World, content: bytes) -> str:
    """The id of a message that the caller wrote itself."""
    asked = {"account": world.account.id, "raw": base64.b64encode(content).decode()}
    return world.send.accept(world.caller, asked).id


def header(world: World, *more: bytes) -> bytes:
    """A complete header of a raw message of the account, with more fields, up to the empty line."""
    fields = [
        b"From: " + world.account.address.encode(),
        b"To: bob@example.net",
        b"Date: Thu, 1 Jan 2026 10:00:00 +0000",
        b"Message-ID: <1@contoso.com>",
        *more,
    ]
    return b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def frozen(world: World, message: str) -> bytes | None:
    """The bytes as they were stored when the message was accepted."""
    found = world.messages_table.get(world.account.id, message)
    assert found is not None
    return found.body if found.blob is None else world.blobs.get(found.blob)


def arrived(world: World) -> bytes:
    """The bytes of the one message that the server has taken, with its log checked for bare line ends."""
    (entry,) = world.post.client.log()
    assert not entry["bare_newlines"]
    return world.post.client.raw(entry["sequence"])


def refusal(world: World, content: bytes) -> InvalidInput:
    """The error with which a raw message is refused, of which nothing was stored."""
    with pytest.raises(InvalidInput) as caught:
        accept_raw(world, content)
    assert not world.outbox.list(world.caller, Filter(world.account.id)).messages
    return caught.value


def read(content: bytes) -> EmailMessage:
    """The message as its reader has it."""
    return message_from_bytes(content, policy=policy.default)


def text_of(message: EmailMessage) -> str:
    """The text of its one part, with line ends as Python has them."""
    return str(message.get_content()).replace("\r\n", "\n")


def said_in_clear(client: MailServerClient) -> set[str]:
    """The verbs that any client has said outside TLS."""
    said = [command for session in client.sessions() for command in session["commands"]]
    return {command["command"].split()[0].upper() for command in said if not command["tls"]}


PIECES = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b".",
        b"..",
        b"\r\n.\r\n",
        b"\n.\n",
        b"\r.\r",
        b"\r\n.",
        b"QUIT\r\n",
        b"MAIL FROM:<eve@example.net>\r\n",
        b" ",
        b"\t",
        b"From here on",
        b"x" * 990,
        "ä€\U0001f600".encode(),
        bytes(range(0x80, 0x100)),
        b"\x01\x0b\x0c\x1b\x7f",
    ]
)
BODIES = st.lists(PIECES, max_size=12).map(b"".join)


def whole(content: bytes) -> bytes:
    """The content with every line end as CRLF, also at the end, found by another way than the product's."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES.filter(lambda body: max(map(len, re.split(rb"[\r\n]", body))) <= LONGEST_LINE))
def test_a_raw_message_reaches_the_server_as_it_was_accepted(world: World, body: bytes) -> None:
    """Whatever its body: whole lines, no command of its own, one message, and nothing but TLS before it."""
    world.post.client.reset()
    message = accept_raw(world, header(world) + body)

    assert world.serve() == {"sent": 1}

    (session,) = world.post.client.sessions()
    assert arrived(world) == header(world) + whole(body) == frozen(world, message)
    assert ("BODY=8BITMIME" in world.post.client.log()[0]["mail_parameters"]) is not body.isascii()
    assert said_in_clear(world.post.client) == IN_CLEAR
    assert [one["command"].split()[0] for one in session["commands"]].count("MAIL") == 1


def test_B36_bare_line_ends_in_a_raw_body(world: World) -> None:
    """They become whole ones, so that no server sees an end of the message where another sees none."""
    smuggled = b"MAIL FROM:<eve@example.net>\r\nRCPT TO:<mallory@example.net>\r\nDATA\r\n"
    body = b"one\r.\r\n" + smuggled + b"two\n.\r\n" + smuggled + b"three\r\n.\r" + smuggled + b"four\n.\nend"

    accept_raw(world, header(world) + body)
    world.serve()

    assert arrived(world) == header(world) + whole(body)
    assert world.post.client.log()[0]["recipients"] == ["bob@example.net"]


@pytest.mark.parametrize(
    "body",
    [b".\r\n", b"..\r\n.\r\n...\r\n", b"a\r\n.\r\nb\r\n", b".a\r\n..b\r\n", b"\r\n.\r\n.\r\n\r\n.\r\n"],
)
def test_B37_lone_dots_and_lines_that_begin_with_one(world: World, body: bytes) -> None:
    """A raw body of them arrives as it is."""
    accept_raw(world, header(world) + body)
    world.serve()

    assert arrived(world) == header(world) + body


def test_B37_lone_dots_in_a_text(world: World) -> None:
    """A text of them arrives as the text it is."""
    text = ".\n..\n.x\n\n.\nend\n"

    world.accept(text=text)
    world.serve()

    assert text_of(read(arrived(world))) == text


@pytest.mark.parametrize("letter", ["x", "ä", "x "], ids=["ASCII", "not ASCII", "words"])
def test_B38_a_line_of_5000_characters(world: World, letter: str) -> None:
    """It is encoded, in a body as in a header, and a reader gets it back whole."""
    long = (letter * 5_000)[:5_000].strip()

    world.accept(text=long, subject=long, headers={"X-Long": long})
    world.serve()

    content = arrived(world)
    found = read(content)
    assert max(map(len, content.split(b"\r\n"))) <= LONGEST_LINE
    assert text_of(found) == f"{long}\n"
    assert found["Subject"] == long
    assert found["X-Long"] == long


@pytest.mark.parametrize("place", ["header", "body"])
def test_B38_a_line_of_5000_bytes_in_a_raw_message(world: World, place: str) -> None:
    """It is the caller's to encode: changing it would change what was perhaps signed."""
    long = b"x" * 5_000
    content = header(world, b"X-Long: " + long) if place == "header" else header(world) + long

    error = refusal(world, content)

    assert (error.status, error.field) == (422, "raw")
    assert "base64" in error.fix


@pytest.mark.parametrize("field", ["Subject: Grüße".encode(), "Subject: Grüße".encode("latin-1"), b"X: \xff"])
def test_B39_eight_bits_in_the_header_of_a_raw_message(world: World, field: bytes) -> None:
    """It is refused with the way to write it."""
    error = refusal(world, header(world, field) + b"body\r\n")

    assert (error.status, error.field) == (422, "raw")
    assert "RFC 2047" in error.message


@pytest.mark.parametrize(
    "hidden",
    [
        b"Bcc: eve@example.net",
        b"bcc: eve@example.net",
        b"BCC:eve@example.net",
        b"Bcc:\r\n eve@example.net",
        b"Bcc: Eve\r\n\t<eve@example.net>",
        b"Resent-Bcc: mallory@example.net\r\nBcc: eve@example.net",
    ],
)
def test_B41_bcc_in_a_raw_message(world: World, hidden: bytes) -> None:
    """The recipient gets the message, and nothing in it names them; all else is as it was."""
    body = b"Bcc: is a word of the body\r\n"

    accept_raw(world, header(world, hidden, b"X-Last: 1") + body)
    world.serve()

    assert arrived(world) == header(world, b"X-Last: 1") + body
    assert world.post.client.log()[0]["recipients"] == ["bob@example.net", "eve@example.net"]


def test_B30_a_local_part_that_the_server_cannot_take(world: World) -> None:
    """The message fails with a code of its own, is not tried again, and MAIL is never said."""
    world.post.client.settings(smtputf8=False)
    message = world.accept(to=["jürgen@example.net"])

    assert world.serve() == {"failed": 1}
    assert world.serve() == {}

    (attempt,) = world.record(message)["attempts"]
    (session,) = world.post.client.sessions()
    assert attempt["diagnosis"]["code"] == "smtp_extension_missing"
    assert attempt["diagnosis"]["class"] == "caller"
    assert not [one for one in session["commands"] if one["command"].startswith("MAIL")]
    assert world.post.client.log() == []


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
def test_an_international_address_in_any_field_is_announced_to_the_server(world: World, field: str) -> None:
    """A header in UTF-8 needs SMTPUTF8 as an address in the envelope does (RFC 6531, section 3.1)."""
    world.accept(**{"to": ["bob@example.net"], field: ["jürgen@bücher.example"]})

    assert world.serve() == {"sent": 1}

    (entry,) = world.post.client.log()
    assert "SMTPUTF8" in entry["mail_parameters"]
    assert ("jürgen@xn--bcher-kva.example" in entry["recipients"]) == (field != "reply_to")
    assert ("jürgen".encode() in arrived(world)) == (field != "bcc")


def test_an_international_address_is_announced_also_when_its_owner_has_the_message(world: World) -> None:
    """The header is the same for the recipient who is left."""
    world.post.client.inject("RCPT", code=450, text="4.2.1 later", recipient="bob@example.net")
    world.accept(to=["jürgen@example.net", "bob@example.net"])
    world.serve()

    world.ahead = 60_000
    world.serve()

    parameters = [entry["mail_parameters"] for entry in world.post.client.log()]
    assert ["SMTPUTF8" in found for found in parameters] == [True, True]
