"""Whole messages that callers hand in: what is left out, what is kept, and what is refused with its place."""

from __future__ import annotations

import base64
import re
from email import message_from_bytes, policy
from email.utils import getaddresses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.accounts.models.account import Account, FromPolicy
from chalicelib.errors import InvalidInput, MailgrantError
from chalicelib.mail.composing import raw_header, request
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.composing.frozen import Frozen
from chalicelib.mail.ports import Limits
from tests.unit.test_address_lists import LOOSE

ACCOUNT = Account("acc_1", "one", "ada@example.com", "con_1", 0)
TOP = b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <msg_x@example.com>\r\n"
HEADER = b"From: ada@example.com\r\nTo: you@example.net\r\n"


def frozen(raw: bytes, account: Account = ACCOUNT) -> Frozen:
    """The message as it would be sent."""
    asked = request.read({"account": "one", "raw": base64.b64encode(raw).decode()})
    return compose(asked, account, "msg_x", now=0, limits=Limits())


def refusal(raw: bytes) -> str:
    """What is said of a message that is refused, always about ``raw``, by 422."""
    with pytest.raises(InvalidInput) as refused:
        frozen(raw)
    assert (refused.value.field, refused.value.status) == ("raw", 422)
    return refused.value.message


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b"From nobody Mon Jan  1 00:00:00 2026\n",
        b"From nobody Mon Jan  1 00:00:00 2026\r\n",
        b"\xef\xbb\xbfFrom ada@example.com Mon Jan  1 00:00:00 2026\n",
        b"From - Mon Jan  1 00:00:00 2026\n",
    ],
)
def test_ua8_what_stands_before_the_first_field_is_left_out(before: bytes) -> None:
    message = b"From: ada@example.com\nTo: you@example.net\nSubject: s\n\nhi\n"

    assert frozen(before + message).body == TOP + message.replace(b"\n", b"\r\n")


def test_ua8_lines_are_counted_as_in_what_was_handed_in() -> None:
    before = b"\xef\xbb\xbfFrom nobody Mon Jan  1 00:00:00 2026\n"

    assert "line 4 " in refusal(before + b"From: ada@example.com\nTo: you@example.net\nnothing\n\nhi\n")
    assert "line 5 holds a NUL" in refusal(before + b"From: ada@example.com\n\nx\n\0\n")
    assert "(line 3)" in refusal(before + b"From: ada@example.com\nSubject: \xff\n\nhi\n")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (HEADER + b"\r\r\nbody\r\n", "line 3 holds a CR without an LF"),
        (HEADER + b"X: a\n\rmore\n\nhi", "line 4 holds a CR without an LF"),
        (HEADER.replace(b"\r\n", b"\r") + b"\rhi\r", "line 1 holds a CR without an LF"),
        (HEADER + b"X: a\rBcc: c@example.net\r\n\r\nhi\r\n", "line 3 holds a CR without an LF"),
        (HEADER + b"ends with\r", "line 3 holds a CR without an LF"),
        (HEADER + b"\r\n\0\r\n", "line 4 holds a NUL"),
        (HEADER + b"X: \0\r\n\r\n", "line 3 holds a NUL"),
        (HEADER + b"X-Text: \xe4\r\n\r\n", "X-Text field (line 3) holds bytes outside ASCII"),
        (HEADER + b"X-Text: a\r\n \xc3\xa4\r\n\r\n", "X-Text field (line 3) holds bytes outside ASCII"),
        (
            HEADER + b"X-Text: a\x0bReply-To: eve@evil.test\r\n\r\n",
            "X-Text field (line 3) holds a control character",
        ),
        (HEADER + b"X-Text: \x1b$B\r\n\r\n", "X-Text field (line 3) holds a control character"),
        (HEADER + b"X\xe4: a\r\n\r\n", "line 3 has bytes outside ASCII in a field's name"),
        (HEADER + b"Subject : a\r\n\r\n", "line 3 has a blank between a field's name and its colon"),
        (HEADER + b"Subject\t: a\r\n\r\n", "line 3 has a blank between a field's name and its colon"),
        (HEADER + b"no field\r\n\r\n", "line 3 is not a header field"),
        (HEADER + b">From nobody\r\n\r\n", "line 3 is not a header field"),
        (HEADER + b": empty\r\n\r\n", "line 3 is not a header field"),
        (HEADER + b"body without a line between\r\n", "line 3 is not a header field"),
        (HEADER + b"X: a\r\n  \r\n b\r\n\r\n", "line 4 holds nothing but blanks"),
        (HEADER + b" \r\nbody\r\n", "line 3 holds nothing but blanks"),
        (b" folded\r\n" + HEADER + b"\r\n", "line 1 continues a field, and there is none"),
        (b"\r\n" + HEADER + b"\r\nhi\r\n", "line 1 is empty"),
        (b"\n", "line 1 is empty"),
        (b"", "line 1 is empty"),
        (b"From nobody\rFrom: ada@example.com\n\nhi", "line 1 holds a CR without an LF"),
        (b"From nobody Mon\n", "line 2 is empty"),
        (b"From : ada@example.com\n\nhi", "line 1 has a blank between a field's name and its colon"),
        (b"To: you@example.net\r\n\r\nhi", "no From field"),
        (HEADER + b"From: ada@example.com\r\n\r\n", "more than one From field (line 3)"),
        (HEADER + b"sUBJECT: a\r\nSubject: b\r\n\r\n", "more than one Subject field (line 4)"),
        (HEADER.replace(b"you@", b"you@@") + b"\r\n", "its To field can be read in more than one way"),
        (HEADER + b"cC: a@x.de b@x.de\r\n\r\n", "its cC field can be read in more than one way"),
        (
            HEADER + b"X-Long: " + b"x" * 1_000 + b"\r\n\r\nhi",
            "998 bytes in its header; it begins with 'X-Long: x",
        ),
        (HEADER + b"\r\nA" + b"x" * 998, "998 bytes in its body; it begins with 'Ax"),
        ("From: ada@example.com\n\nhi".encode("utf-16"), "line 1 holds a NUL"),
    ],
)
def test_ua8_a_refusal_names_the_line_or_the_field(message: bytes, said: str) -> None:
    assert said in refusal(message)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n\r\n", b"\n", b"\n\n"])
def test_ua8_a_header_alone_is_a_message_without_a_body(end: bytes) -> None:
    assert frozen(HEADER.removesuffix(b"\r\n") + end).body == TOP + HEADER + b"\r\n"


def test_ua8_every_line_end_is_one_line_end_and_the_body_stays() -> None:
    body = b"one\ntwo\r\n\n\r\n>From me\nFrom me\n.\n..\n\t \nlast"

    message = frozen(HEADER + b"\n" + body).body

    assert message.partition(b"\r\n\r\n")[2].split(b"\r\n") == [
        *(b"one", b"two", b"", b"", b">From me", b"From me", b".", b"..", b"\t ", b"last", b"")
    ]


def test_ua8_a_cr_in_a_body_is_one_line_end() -> None:
    body = b"\rone\rtwo\r\r\nthree\n\rfour\r"

    assert frozen(HEADER + b"\n" + body).body.partition(b"\r\n\r\n")[2].split(b"\r\n") == [
        *(b"", b"one", b"two", b"", b"three", b"", b"four", b"")
    ]


def test_ua8_an_empty_first_line_of_a_field_may_be_continued() -> None:
    assert (
        b"\r\nX-Text:\r\n on the next line\r\n"
        in frozen(HEADER + b"X-Text:\r\n on the next line\r\n\r\n").body
    )


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?4oKs?=", "Grüße€"),
        (b"=?iso-8859-1?Q?a=20=E4?= plain", "a ä plain"),
        (b"=?no-such-charset?q?x?=", "=?no-such-charset?q?x?="),
        (b"=?utf-8?b?4?= =?utf-8?q?a=0D=0AX:_b?=", "=?utf-8?b?4?=a  X: b"),
        (b"=?" * 400, "=?" * 400),
    ],
)
def test_ua5_a_subject_is_shown_whatever_stands_in_it(subject: bytes, shown: str) -> None:
    assert frozen(HEADER + b"Subject: " + subject + b"\r\n\r\n").subject == shown


@pytest.mark.parametrize("name", [b"To", b"From", b"Sender", b"Cc", b"Bcc"])
@pytest.mark.parametrize("unit", [b",\r\n ", b"(\r\n ", b'"\r\n ', b"<\r\n ", b"a:;\r\n ", b"=?\r\n "])
def test_ua5_fields_of_addresses_are_read_to_any_length_or_refused(name: bytes, unit: bytes) -> None:
    """79 KB of commas took seconds."""
    other = b"" if name == b"From" else b"From: ada@example.com\r\n"
    message = other + name + b": " + unit * (79_000 // len(unit)) + b"\r\n\r\nhi\r\n"

    with pytest.raises(MailgrantError) as refused:
        frozen(message)
    assert refused.value.field in ("raw", "to")


def test_ua5_a_header_is_bounded_as_a_whole() -> None:
    most = b"X: " + b"a" * 900 + b"\r\n"

    assert frozen(HEADER + most * 280 + b"\r\n").envelope.recipients == ("you@example.net",)
    assert "256 KiB" in refusal(HEADER + most * 300 + b"\r\n")
    assert "5,000 addresses" in refusal(HEADER + b"Cc: " + b"a@x.de,\r\n " * 5_000 + b"a@x.de\r\n\r\n")


def test_ua5_a_header_of_many_fields_is_read_once() -> None:
    fields = raw_header.fields(b"X:\r\n" * 50_000)

    assert (len(fields), fields[-1].line) == (50_000, 50_000)


def test_ua3_a_long_name_with_specials_stays_one_mailbox_when_its_address_is_replaced() -> None:
    name = 'Office of the Director, North (Sales): "Team" @ Contoso. [EMEA] ' + "and others, " * 4
    quoted = '"' + name.strip().replace('"', '\\"') + '"'
    account = Account("acc_1", "one", "ada@example.com", "con_1", 0, from_policy=FromPolicy.REWRITE_REPLY_TO)

    message = frozen(f"From: {quoted}\r\n <boss@corp.test>\r\nTo: b@x.de\r\n\r\nhi".encode(), account).body

    fields = raw_header.fields(message.partition(b"\r\n\r\n")[0] + b"\r\n")
    people = {
        field.name: raw_header.addresses_of(field).people
        for field in fields
        if field.name != "date" and field.name in ("from", "reply-to")
    }
    assert {name: [one.address for one in found] for name, found in people.items()} == {
        "from": ["ada@example.com"],
        "reply-to": ["boss@corp.test"],
    }


@pytest.mark.parametrize(
    "word", [b"=?utf-8?q?a=0D=0ATo=3A_x?=", b"=?utf-8?b?YQ0KUmVwbHktVG86IHg=?=", b"=?utf-8?q?=00?="]
)
@pytest.mark.parametrize("field", [b"From", b"Sender"])
def test_ua1_an_encoded_line_end_in_the_name_of_a_sender_is_refused(field: bytes, word: bytes) -> None:
    own = b"" if field == b"From" else b"From: ada@example.com\r\n"

    refusal(own + field + b": " + word + b" <ada@example.com>\r\nTo: b@x.de\r\n\r\nhi")


PIECES = st.sampled_from(
    [
        *(b"From: ada@example.com", b"From: ", b"To: you@example.net", b"bcc: z@example.net"),
        *(b"Sender: x@y.de", b"Subject: a", b"Date:", b"Message-ID: <1@x>", b"X-A: b", b":", b"."),
        *(b"From nobody Mon", b">From me", b"\xef\xbb\xbf", b"=?utf-8?q?a=0D=0Ab?=", b"x" * 990),
        *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b" ", b"\t", b"\0", b"\xe4", b"\x0b", b"\x1c"),
        *(b"\xc2\x85", b"\xe2\x80\xa8", b'"', b",", b"<", b">", b"("),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=14).map(b"".join), st.sampled_from([b"", HEADER]))
def test_ua8_whatever_is_handed_in_is_refused_or_leaves_as_one_message(content: bytes, before: bytes) -> None:
    result = frozen_or_field(before + content)
    if not isinstance(result, Frozen):
        assert result in ("raw", "to")
        return

    header, end, body = result.body.partition(b"\r\n\r\n")
    assert end
    assert header.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", result.body)
    assert not body or body.endswith(b"\r\n")
    seen = message_from_bytes(result.body, policy=policy.SMTP)
    people = getaddresses(seen.get_all("From", []), **LOOSE)
    assert [address for _, address in people if address] == ["ada@example.com"]
    assert seen["Bcc"] is None
    assert [name.lower() for name, _ in seen.items()] == [
        field.name for field in raw_header.fields(header + b"\r\n")
    ]


def frozen_or_field(raw: bytes) -> Frozen | str | None:
    """The message as it would be sent, or the field with which it is refused."""
    try:
        return frozen(raw)
    except MailgrantError as refused:
        return refused.field
