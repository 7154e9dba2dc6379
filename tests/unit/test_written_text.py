"""Rows U-A1 to U-A5: what a caller writes is read as just that text, in every field that becomes a header."""

from __future__ import annotations

import base64
import unicodedata
from dataclasses import replace
from email import message_from_bytes, policy
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import fields, readback, request, text
from chalicelib.mail.composing.addresses import Address
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.composing.further_headers import further_headers
from chalicelib.mail.ports import Limits
from tests.unit import header_reader
from tests.unit.header_reader import Mailbox
from tests.unit.test_compose import ACCOUNT, NOW, composed, refusal

INJECTION = "=?utf-8?q?a=0D=0AReply-To:_eve=40evil.example=0D=0A=0D=0A<h1>pay_here</h1>?="
"""Text that a library decodes into a field and a body."""

FRAGMENTS = (
    INJECTION,
    "=?utf-8?q?hi=0D=0AFrom:_Boss_<boss=40example.com>=0D=0AX:?=",
    "=?utf-8?b?w6Q=?=",
    "=?utf-8?q?=E9t=E9?=",
    "=?x-unknown?q?a?=",
    "=?utf-8?b?!!!?=",
    "=?utf-8?q?a?==?utf-8?q?b?=",
    "=?",
    "?=",
    "=",
    "_",
    "(comment)",
    '"',
    "\\",
    "<eve@evil.example>",
    ", Doe: [x]; @.",
    " ",
    "   ",
    "a",
    "plain words of ASCII",
    "%0D%0A",
    "x" * 80,
    "Größe",
    "für",
    "Ваш заказ принят",
    "Παραγγελία",
    "주문이 접수되었습니다",
    "طلبك جاهز",
    "\u202eRLO",
    "ご注文",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇩🇪🇫🇷",
    "e\u0301\u0302",
    "a" + "\u0300" * 70,
    "\u00a0",
    "\ufeff",
    "\u2013",
)

texts = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=12).map("".join),
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=12).map(" ".join),
    st.tuples(st.sampled_from(FRAGMENTS), st.integers(1, 200)).map(lambda pair: pair[0] * pair[1]),
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=300),
).map(lambda text: text[:2_000])

generated = settings(
    deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)

SUBJECTS = (
    "Ваш заказ принят и будет доставлен в течение двух рабочих дней",
    "Ihre Größe Ihre Änderung Ihre der für für",
    "20 customers [REF-1495] 123456 invoice Your [REF-1495] all Straße Re: \u2013 ご注文 für semaines",
    "Réf =?utf-8?q?=E9t=E9?= 2026",
    f"Order {INJECTION}",
    " leading, trailing ",
    "two  blanks   three",
    "x" * 2_000,
    "é " * 1_000,
)

LONG_NAME = "Doe, John (Example International Holdings Group, Purchasing Department South)"

NAMES = ("Date", "Message-ID", "From", "To", "Subject", "MIME-Version", "Content-Type")
"""The fields of the least message, in their order."""


def names_of(message: bytes) -> list[str]:
    """The names of the header's fields."""
    return [name for name, _ in header_reader.fields(message)]


def is_file_name(name: str) -> bool:
    """Whether a name of a file is taken."""
    hidden = any(unicodedata.category(letter) == "Cf" for letter in name if letter not in text.JOINERS)
    return (
        len(name) <= 255
        and name.strip() not in {"", ".", ".."}
        and not {"/", "\\"} & set(name)
        and not hidden
    )


@generated
@given(value=texts)
@example(value=SUBJECTS[0])
@example(value=SUBJECTS[1])
@example(value=SUBJECTS[2])
@example(value=SUBJECTS[3])
@example(value=SUBJECTS[4])
@example(value=SUBJECTS[5])
@example(value=SUBJECTS[6])
@example(value=SUBJECTS[7])
@example(value=SUBJECTS[8])
def test_ua3_a_subject_reads_as_it_was_written(value: str) -> None:
    message = composed(subject=value, text="x").body

    assert header_reader.text(header_reader.field(message, "Subject")) == value
    assert names_of(message) == [*NAMES, "Content-Transfer-Encoding"]
    assert message.endswith(b"\r\n\r\nx\r\n")


@generated
@given(value=texts)
def test_ua1_a_value_of_a_further_header_reads_as_it_was_written(value: str) -> None:
    message = composed(headers={"X-Tag": value}).body

    assert header_reader.text(header_reader.field(message, "X-Tag")) == value
    assert names_of(message) == [*NAMES[:4], "X-Tag", *NAMES[5:], "Content-Transfer-Encoding"]


@generated
@given(name=texts, place=st.sampled_from(["to", "cc", "reply_to", "from"]))
@example(name=LONG_NAME, place="to")
@example(name=LONG_NAME, place="from")
@example(name=f'{"a" * 70}, "b" \\', place="cc")
@example(name=f"Shop {INJECTION}", place="to")
def test_ua2_a_name_of_any_length_is_one_name_and_its_address_one_address(name: str, place: str) -> None:
    address = "ada@contoso.test" if place == "from" else "you@example.net"
    person = {"address": address, "name": name}
    people: Any = person if place == "from" else [person, "other@example.net"]

    message = composed(**{place: people}).body

    header = {"to": "To", "cc": "Cc", "reply_to": "Reply-To", "from": "From"}[place]
    value = header_reader.field(message, header)
    others = [] if place == "from" else [Mailbox("other@example.net", "")]
    assert header_reader.mailboxes(value) == [Mailbox(address, name), *others]
    assert [mailbox for _, mailbox in getaddresses([value])] == [address, *(one.address for one in others)]


@generated
@given(name=texts)
def test_ua2_the_name_of_an_account_stands_in_from(name: str) -> None:
    account = replace(ACCOUNT, display_name=name)

    message = compose(
        request.read({"account": "ada", "to": ["b@x.de"]}), account, "msg_x", now=NOW, limits=Limits()
    ).body

    assert header_reader.mailboxes(header_reader.field(message, "From")) == [Mailbox(ACCOUNT.address, name)]


@generated
@given(name=texts)
def test_ua2_the_name_of_a_rewritten_raw_message_stands_in_from(name: str) -> None:
    account = replace(ACCOUNT, display_name=name, always_name=True)
    raw = base64.b64encode(b"From: ada@contoso.test\r\nTo: b@x.de\r\n\r\nx").decode()

    message = compose(
        request.read({"account": "ada", "raw": raw}), account, "msg_x", now=NOW, limits=Limits()
    ).body

    assert header_reader.mailboxes(header_reader.field(message, "From")) == [Mailbox(ACCOUNT.address, name)]


@generated
@given(name=texts, content_id=st.sampled_from([None, "a"]))
@example(name="Rechnung für Größe.pdf", content_id=None)
@example(name="=?utf-8?q?=2E=2E=2Fetc?=", content_id=None)
def test_ua1_a_file_name_reads_as_it_was_written_or_is_refused(name: str, content_id: str | None) -> None:
    file = {"filename": name, "content": "YQ=="} | ({"content_id": content_id} if content_id else {})
    if not is_file_name(name):
        assert refusal(html="x", attachments=[file]).field == "attachments[0].filename"
        return

    message = composed(html="x", attachments=[file]).body

    (bytes_of_part,) = [part for part in message.split(b"\r\n--") if b"Content-Disposition" in part]
    disposition = header_reader.field(bytes_of_part.partition(b"\r\n")[2], "Content-Disposition")
    assert header_reader.parameters(disposition) == {"filename": name}
    parsed = message_from_bytes(message, policy=policy.compat32)
    assert [part.get_filename() for part in parsed.walk() if part.get_filename()] == [name.strip()]


@generated
@given(name=texts)
def test_ua1_a_name_in_a_media_type_reads_as_it_was_written_or_is_refused(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    file = {"filename": "a", "content": "YQ==", "content_type": f'application/pdf; name="{escaped}"'}
    if not is_file_name(name) or len(file["content_type"]) > 1_000:
        assert refusal(attachments=[file]).field == "attachments[0].content_type"
        return

    message = composed(attachments=[file]).body

    (part,) = [part for part in message.split(b"\r\n--") if b"Content-Disposition" in part]
    content_type = header_reader.field(part.partition(b"\r\n")[2], "Content-Type")
    assert header_reader.parameters(content_type) == {"name": name}


@generated
@given(value=texts, place=st.sampled_from(["content_id", "content_type"]))
def test_ua1_text_where_a_token_belongs_is_refused_with_its_field(value: str, place: str) -> None:
    file = {"filename": "a.png", "content": "YQ==", place: f"{value}é"}

    assert refusal(html="x", attachments=[file]).field == f"attachments[0].{place}"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_ua3_the_library_of_python_reads_the_same_subject(subject: str) -> None:
    parsed = message_from_bytes(composed(subject=subject).body, policy=policy.default)

    assert str(parsed["Subject"]).strip() == subject.strip() or "=?" in subject


@pytest.mark.parametrize("name", ["References", "In-Reply-To", "List-Unsubscribe", "Mail-Followup-To"])
@pytest.mark.parametrize("value", ["<a@é.example>", "=?utf-8?q?a?=", f"<{'a' * 1_000}@x.example>"])
def test_ua3_a_field_that_programs_read_is_never_encoded(name: str, value: str) -> None:
    error = refusal(headers={name: value})

    assert (error.status, error.field) == (422, f"headers.{name}")


@pytest.mark.parametrize(
    "subject", ["Réf =?utf-8?q?=E9t=E9?= 2026", "=?utf-8?b?/w==?=", "=?nonsense?q?x?=", "=?utf-8?q?a", "?="]
)
def test_ua4_text_that_looks_like_broken_markup_is_sent_as_text(subject: str) -> None:
    message = composed(subject=subject, to=[{"address": "b@x.de", "name": subject}]).body

    assert header_reader.text(header_reader.field(message, "Subject")) == subject
    assert header_reader.mailboxes(header_reader.field(message, "To")) == [Mailbox("b@x.de", subject)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": "é" * 10_001}, "subject"),
        ({"to": [{"address": "b@x.de", "name": "é " * 10_000}]}, "to[0].name"),
        ({"from": {"address": "ada@contoso.test", "name": "x" * 2_001}}, "from.name"),
        ({"headers": {"X-A": "é" * 10_001}}, "headers.X-A"),
        ({"headers": {f"X-{number}": "x" for number in range(101)}}, "headers"),
        ({"headers": {f"X-{number}": "é" * 10_000 for number in range(10)}}, "headers"),
        ({"to": ["b@x.de"] * 5_001}, "to"),
        ({"to": [{"address": f"b{n}@x.de", "name": "é" * 2_000} for n in range(50)]}, "to"),
        ({"attachments": [{"filename": "a", "content": ""}] * 1_001}, "attachments"),
        ({"attachments": [{"filename": "a" * 256, "content": ""}]}, "attachments[0].filename"),
        (
            {"attachments": [{"filename": "a", "content": "", "content_type": "a/b;" * 300}]},
            "attachments[0].content_type",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ua5_text_beyond_a_sane_length_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    error = refusal(**changes)

    assert (error.status, error.field) == (422, field)


@pytest.mark.parametrize(
    "line", [b"Reply-To: eve@evil.example\r\n", b"From: eve@evil.example\r\n", b"\r\n<h1>pay here</h1>\r\n"]
)
def test_ua1_a_writer_that_let_a_field_slip_through_would_be_found(line: bytes) -> None:
    names = ["From", "Subject"]
    people = {"From": ["ada@contoso.test"]}
    message = b"From: ada@contoso.test\r\nSubject: a\r\n"
    readback.require_header(message + b"\r\nx", names, b"x", addresses=people)

    with pytest.raises(readback.HeaderChangedError):
        readback.require_header(message + line + b"\r\nx", names, b"x", addresses=people)


@pytest.mark.parametrize(
    "sender", [b"eve@evil.example", b"Ada, eve@evil.example", b"ada@contoso.test <eve@evil.example>"]
)
def test_ua1_another_sender_than_the_allowed_one_would_be_found(sender: bytes) -> None:
    with pytest.raises(readback.HeaderChangedError):
        readback.require_header(
            b"From: " + sender + b"\r\n\r\nx", ["From"], b"x", addresses={"From": ["ada@contoso.test"]}
        )


def test_ua1_a_control_character_never_gets_into_a_field() -> None:
    with pytest.raises(ValueError, match="control character"):
        fields.address_list("To", [Address("b\r\nX:@x.de")])


def test_ua3_a_character_that_is_seen_as_one_is_not_divided() -> None:
    families = "👩‍👩‍👧‍👦" * 40

    message = composed(subject=families).body

    words = header_reader.WORD.finditer(message.decode().partition("Subject:")[2])
    assert {header_reader.match_text(word).replace("👩‍👩‍👧‍👦", "") for word in words} == {""}


@pytest.mark.parametrize(
    ("names", "second"),
    [(("x-order", "X-Order"), "X-Order"), (("References", "A", "REFERENCES"), "REFERENCES")],
)
def test_ua9_headers_whose_names_differ_in_case_alone_are_one_twice(
    names: tuple[str, ...], second: str
) -> None:
    with pytest.raises(InvalidInput, match="the same field") as refused:
        further_headers(dict.fromkeys(names, "x"))

    assert (refused.value.field, refused.value.status) == (f"headers.{second}", 422)


@pytest.mark.parametrize(
    "name", ["FROM", "from", "bCC", "Message-id", "content-TYPE", "RESENT-to", "rEPLY-tO"]
)
def test_ua9_reserved_names_are_refused_in_any_case(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        further_headers({name: "x"})

    assert refused.value.field == f"headers.{name}"
