"""Composing: a request becomes frozen bytes and an envelope, or an error that names the field."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.accounts.models.account import Account
from chalicelib.errors import Forbidden, InvalidInput, MailgrantError, MalformedRequest, TooLarge
from chalicelib.mail.composing import request, text
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.ports import Limits

if TYPE_CHECKING:
    from email.message import EmailMessage

    from chalicelib.mail.composing.frozen import Frozen

NOW = 1_700_000_000_000
ACCOUNT = Account(
    id="acc_" + "0" * 20,
    name="ada",
    address="ada@contoso.test",
    connector="con_" + "0" * 20,
    created_at=NOW,
    display_name="Ada Löve",
)


def composed(*, limits: Limits | None = None, **fields: Any) -> Frozen:
    """The message that the fields make, sent by the account to one recipient unless they say otherwise."""
    wanted = {"account": "ada", "to": ["bob@example.net"], **fields}
    asked = request.read({name: value for name, value in wanted.items() if value is not None})
    return compose(asked, ACCOUNT, "msg_x", now=NOW, limits=limits or Limits())


def parsed(frozen: Frozen) -> EmailMessage:
    """The message as a reader sees it."""
    return message_from_bytes(frozen.body, policy=policy.default)


def raw(text: bytes) -> str:
    """A raw message as the request has it."""
    return base64.b64encode(text).decode()


def refusal(**fields: Any) -> MailgrantError:
    """The error that the fields lead to."""
    with pytest.raises(MailgrantError) as caught:
        composed(**fields)
    return caught.value


def test_every_field_stands_in_the_message_and_bcc_only_in_the_envelope() -> None:
    frozen = composed(
        to=["bob@example.net", {"address": "carl@bücher.de", "name": "Carl, Dr. Ü"}],
        cc=["dora@example.net"],
        bcc=["eve@example.net"],
        reply_to=["office@contoso.test"],
        subject="Grüße",
        text="Hallo\n.\n",
        headers={"X-Reference": "42"},
    )

    message = parsed(frozen)
    assert frozen.envelope.mail_from == "ada@contoso.test"
    assert frozen.envelope.recipients == (
        "bob@example.net",
        "carl@xn--bcher-kva.de",
        "dora@example.net",
        "eve@example.net",
    )
    assert message["From"] == "Ada Löve <ada@contoso.test>"
    assert message["To"].addresses[1].display_name == "Carl, Dr. Ü"
    assert message["Subject"] == "Grüße"
    assert message["Reply-To"] == "office@contoso.test"
    assert message["X-Reference"] == "42"
    assert message["Message-ID"] == frozen.message_id == "<msg_x@contoso.test>"
    assert message["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert message.get_content() == "Hallo\r\n.\r\n"
    assert b"eve@" not in frozen.body


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"from": "sales@bücher.example"},
        {"from": "sales@xn--bcher-kva.example"},
        {"raw": raw(b"From: sales@xn--bcher-kva.example\r\n\r\nHello")},
    ],
    ids=["own", "unicode", "ascii", "raw"],
)
def test_B31_an_account_of_an_international_domain_sends_in_its_ascii_form(fields: dict[str, str]) -> None:
    account = replace(ACCOUNT, address="sales@bücher.example", display_name="")
    asked = request.read({"account": "ada", "to": ["bob@example.net"], **fields})

    frozen = compose(asked, account, "msg_x", now=NOW, limits=Limits())

    assert frozen.envelope.mail_from == "sales@xn--bcher-kva.example"
    assert b"From: sales@xn--bcher-kva.example\r\n" in frozen.body
    assert frozen.message_id == "<msg_x@xn--bcher-kva.example>"


def test_text_html_inline_parts_and_attachments_nest_as_readers_expect() -> None:
    frozen = composed(
        text="plain",
        html='<img src="cid:logo">',
        attachments=[
            {"filename": "Rechnung ä.pdf", "content": raw(b"\0\xff\r\n")},
            {"filename": "logo.png", "content": raw(b"png"), "content_id": "logo"},
        ],
    )

    message = parsed(frozen)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    (attached,) = [part for part in message.walk() if part.get_content_type() == "application/pdf"]
    assert attached.get_filename() == "Rechnung ä.pdf"
    assert attached.get_content() == b"\0\xff\r\n"


def test_long_references_stay_whole_words() -> None:
    ids = [f"<{'a' * 90}{number}@mail.example.net>" for number in range(30)]

    frozen = composed(headers={"References": " ".join(ids), "In-Reply-To": ids[-1]})

    assert b"=?" not in frozen.body.partition(b"\r\n\r\n")[0].partition(b"References")[2]
    assert parsed(frozen)["References"].split() == ids


def test_an_empty_message_is_a_message() -> None:
    assert parsed(composed()).get_content().strip() == ""


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_survives_and_travels_in_seven_bits(text: str) -> None:
    frozen = composed(text=text)

    lines = frozen.body.split(b"\r\n")
    assert frozen.body.isascii()
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)
    assert max(map(len, lines)) <= 998
    assert _lines(parsed(frozen).get_content()) == _lines(text)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


@pytest.mark.parametrize(
    "ending", ["\r\nBcc: v@v.de", "\n", "\r", "\0", "\v", "\f", "\x85", "\u2028", "\u2029"]
)
@pytest.mark.parametrize("field", ["subject", "headers.X-A", "to[0].name", "attachments[0].filename"])
def test_a_line_end_is_refused_wherever_a_line_must_not_end(ending: str, field: str) -> None:
    value = "a" + ending
    fields: dict[str, Any] = {
        "subject": {"subject": value},
        "headers.X-A": {"headers": {"X-A": value}},
        "to[0].name": {"to": [{"address": "b@example.net", "name": value}]},
        "attachments[0].filename": {"attachments": [{"filename": value, "content": ""}]},
    }

    assert refusal(**fields[field]).field == field


@pytest.mark.parametrize(
    "name",
    [
        "From",
        "sender",
        "BCC",
        "Return-Path",
        "Received",
        "DKIM-Signature",
        "Content-Type",
        "Message-ID",
        "a b",
        "a:",
    ],
)
def test_a_header_that_others_write_is_refused(name: str) -> None:
    error = refusal(headers={name: "x"})

    assert error.status == 422
    assert error.field == f"headers.{name}"


@pytest.mark.parametrize(
    "address",
    [
        "a@x.de, b@x.de",
        "a@x.de> NOTIFY=NEVER <b@z.de",
        "a\0@x.de",
        '"a b"@x.de',
        "u@[127.0.0.1]",
        "l" * 65 + "@x.de",
        "a@" + "d" * 250 + ".de",
        "a@-x.de",
        "a@☃.net",
        "",
    ],
)
def test_what_is_not_one_address_is_refused(address: str) -> None:
    assert refusal(to=[address]).field == "to[0]"


def test_the_same_recipient_counts_once() -> None:
    frozen = composed(to=["a@x.de", "a@X.DE", "A@x.de"], cc=["a@x.de"])

    assert frozen.envelope.recipients == ("a@x.de", "A@x.de")


@pytest.mark.parametrize("to", [None, []], ids=["none", "empty"])
def test_without_recipients_there_is_no_message(to: list[str] | None) -> None:
    assert refusal(to=to).field == "to"


def test_too_many_recipients_are_refused_with_the_limit() -> None:
    error = refusal(to=[f"u{number}@x.de" for number in range(3)], limits=Limits(recipients=2))

    assert "2" in error.message


def test_one_byte_too_many_is_too_large() -> None:
    size = len(composed(text="x").body)
    composed(text="x", limits=Limits(size=size))

    assert isinstance(refusal(text="x", limits=Limits(size=size - 1)), TooLarge)


@pytest.mark.parametrize(
    "kind", ["text/plain\r\nX: y", "multipart/mixed", "message/rfc822", "text", "text/plain; boundary=x"]
)
def test_a_media_type_is_one_of_a_file(kind: str) -> None:
    file = {"filename": "a", "content": "", "content_type": kind}

    assert refusal(attachments=[file]).field == "attachments[0].content_type"


@pytest.mark.parametrize("name", ["../x", "a\\b", "..", ""])
def test_a_file_name_is_no_path(name: str) -> None:
    assert refusal(attachments=[{"filename": name, "content": ""}]).field == "attachments[0].filename"


def test_from_is_the_account_or_refused() -> None:
    own: dict[str, Any] = {"from": "ADA@Contoso.test"}
    assert parsed(composed(**own))["From"] == "ada@contoso.test"

    error = refusal(**{"from": {"address": "boss@contoso.test"}})
    assert isinstance(error, Forbidden)
    assert (error.error_code, error.field) == ("from_not_allowed", "from")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"bbc": ["x@x.de"]}, "bbc"),
        ({"to": "x@x.de"}, "to"),
        ({"to": [1]}, "to[0]"),
        ({"attachments": [{"filename": "a", "content": "a!"}]}, "attachments[0].content"),
        ({"text": "a\0"}, "text"),
        ({"expires_in": 59}, "expires_in"),
        ({"on_unknown": "maybe"}, "on_unknown"),
        ({"raw": "YQ==", "subject": "x"}, "subject"),
    ],
)
def test_an_error_names_its_field(fields: dict[str, Any], field: str) -> None:
    error = refusal(**fields)

    assert error.status == 422
    assert error.field == field


@pytest.mark.parametrize("body", [b"x", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        request.read(body)


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(InvalidInput):
        request.read(json.dumps({"account": "a", "subject": "\ud800"}).encode())


def test_a_raw_message_keeps_its_bytes() -> None:
    text = (
        b"From: Ada <ada@contoso.test>\r\nTo: b@x.de\r\nDate: x\r\nMessage-ID: <1@x>\r\n"
        b"sUBJECT:  a\r\n\tb\r\n\r\n.x\r\n\r\n"
    )

    frozen = composed(raw=raw(text), to=None)

    assert frozen.body == text
    assert frozen.message_id == "<1@x>"
    assert frozen.envelope.recipients == ("b@x.de",)


def test_of_a_raw_message_only_bcc_line_ends_and_missing_ids_change() -> None:
    text = b"From: ada@contoso.test\nTo: b@x.de\nBcc: c@x.de,\n d@x.de\nX: 1\n\nx\r.\r\nMAIL\n"

    frozen = composed(raw=raw(text), to=None)

    assert frozen.envelope.recipients == ("b@x.de", "c@x.de", "d@x.de")
    assert frozen.body == (
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <msg_x@contoso.test>\r\n"
        b"From: ada@contoso.test\r\nTo: b@x.de\r\nX: 1\r\n\r\nx\r\n.\r\nMAIL\r\n"
    )


def test_a_raw_message_has_its_hidden_recipients_taken_out_however_they_are_folded() -> None:
    text = (
        b"From: ada@contoso.test\r\nBCC:\r\n\tb@x.de,\r\n c@x.de\r\nResent-Bcc: d@x.de,\r\n e@x.de\r\n"
        b"To: Team: f@x.de, g@x.de;\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nBcc: in the body\r\n"
    )

    frozen = composed(raw=raw(text), to=None)

    assert frozen.envelope.recipients == ("f@x.de", "g@x.de", "b@x.de", "c@x.de")
    assert frozen.body == (
        b"From: ada@contoso.test\r\nTo: Team: f@x.de, g@x.de;\r\nDate: x\r\nMessage-ID: <1@x>\r\n"
        b"\r\nBcc: in the body\r\n"
    )


def test_an_empty_date_or_message_id_of_a_raw_message_is_replaced() -> None:
    text = b"From: ada@contoso.test\r\nTo: b@x.de\r\nDate:\r\nMessage-ID: \r\n\r\nx\r\n"

    frozen = composed(raw=raw(text), to=None)

    assert frozen.body == (
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <msg_x@contoso.test>\r\n"
        b"From: ada@contoso.test\r\nTo: b@x.de\r\n\r\nx\r\n"
    )
    assert frozen.message_id == "<msg_x@contoso.test>"


def test_recipients_of_the_request_replace_those_of_a_raw_message() -> None:
    text = b"From: ada@contoso.test\r\nTo: b@x.de\r\n\r\nx\r\n"

    assert composed(raw=raw(text), to=["z@x.de"]).envelope.recipients == ("z@x.de",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"From: boss@contoso.test\r\n\r\nx", "from_not_allowed"),
        (b"From: ada@contoso.test, boss@contoso.test\r\n\r\nx", "from_not_allowed"),
        (b"From: ada@contoso.test\r\nSender: boss@contoso.test\r\n\r\nx", "from_not_allowed"),
        (b"From: ada@contoso.test\r\nSender:\r\n\r\nx", "from_not_allowed"),
        # What one reader takes for the account's address and another one for somebody else's.
        (b"From : boss@contoso.test\r\nTo: b@x.de\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test <boss@contoso.test>\r\n\r\nx", "invalid_input"),
        (b"From: <ada@contoso.test> <boss@contoso.test>\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test;boss@contoso.test\r\n\r\nx", "invalid_input"),
        (b"From: =?utf-8?q?ada?=@contoso.test\r\n\r\nx", "invalid_input"),
        (b'From: "ada@contoso.test" <=?utf-8?q?ada?=@contoso.test>\r\n\r\nx', "invalid_input"),
        (b"From: Team: ada@contoso.test;\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test\r\nSender: Team: ada@contoso.test;\r\n\r\nx", "invalid_input"),
        (b"From: =?utf-8?q?a=0D=0ATo=3A_x?= <ada@contoso.test>\r\n\r\nx", "invalid_input"),
        (b"From: " + b"(\r\n " * 2_000 + b"ada@contoso.test\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test\r\nBcc : b@x.de\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test\r\nFrom: ada@contoso.test\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test\r\nMessage-ID: <1@x>\r\nMessage-ID: <2@x>\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test\r\nSubject: \xff\r\n\r\nx", "invalid_input"),
        (b"Subject: x\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test\r\nno field\r\n\r\nx", "invalid_input"),
        (b"From: ada@contoso.test\r\n\r\n" + b"x" * 999, "invalid_input"),
        (b"From: ada@contoso.test\r\n\r\n\0", "invalid_input"),
        (b"", "invalid_input"),
    ],
)
def test_a_raw_message_that_cannot_be_sent_is_refused(text: bytes, code: str) -> None:
    error = refusal(raw=raw(text))

    assert error.error_code == code
    assert error.field == "raw"


@pytest.mark.parametrize(
    "to", [b"b@x.de <c@x.de>", b"=?utf-8?q?b?=@x.de", b"b@x.de" + b",\r\n b@x.de" * 5_000, b"b@[127.0.0.1]"]
)
def test_recipients_of_a_raw_message_that_are_not_plain_are_refused(to: bytes) -> None:
    text = b"From: ada@contoso.test\r\nTo: " + to + b"\r\n\r\nx"

    assert refusal(raw=raw(text), to=None).field == "raw"
    assert composed(raw=raw(text), to=["z@x.de"]).envelope.recipients == ("z@x.de",)


def test_a_fingerprint_is_of_what_is_asked_not_of_how() -> None:
    one = request.read(b'{"account":"ada","to":["a@x.de"],"idempotency_key":"k"}')
    other = request.read({"expires_in": 86_400, "to": ["a@x.de"], "account": "acc_1"})
    third = request.read({"to": ["b@x.de"], "account": "ada"})

    prints = [request.fingerprint(asked, "acc_1") for asked in (one, other, third)]

    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("key", ["", "k" * 256, "ä", "a\n"])
def test_ug3_an_idempotency_key_is_printable_ascii(key: str) -> None:
    for asked, header in (({}, key), ({"idempotency_key": key}, None)):
        with pytest.raises(InvalidInput) as refused:
            request.key_of(request.read({"account": "a", **asked}), header)

        assert (refused.value.status, refused.value.field) == (422, "idempotency_key")


def test_two_different_idempotency_keys_are_refused() -> None:
    with pytest.raises(InvalidInput):
        request.key_of(request.read({"account": "a", "idempotency_key": "1"}), "2")


UNSEEN = "".join(
    chr(number)
    for number in (
        *(0x202E, 0x202D, 0x202A, 0x202B, 0x202C, 0x2066, 0x2067, 0x2068, 0x2069, 0x200E, 0x200F, 0x061C),
        *(0x200B, 0x2060, 0xFEFF, 0x00AD, 0xE0041),
    )
)


@pytest.mark.parametrize("letter", UNSEEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_ug7_a_file_name_that_shows_another_ending_is_refused(letter: str) -> None:
    for name in (f"photo_{letter}gnp.exe", f"{letter}a.txt", f"a.txt{letter}"):
        with pytest.raises(InvalidInput, match=f"U\\+{ord(letter):04X}") as refused:
            text.file_name(name, "attachments[0].filename")

        assert refused.value.field == "attachments[0].filename"


@pytest.mark.parametrize(
    "name", ["Rechnung für Ada.pdf", "חשבונית.pdf", "می‌خواهم.txt", "👩‍💻.png", "請求書.xlsx"]
)
def test_ug7_file_names_of_every_writing_are_taken(name: str) -> None:
    assert text.file_name(name, "f") == name
