"""Rows U-A6 and U-A7: how parts nest, and that a file keeps its type, name, charset and method."""

from __future__ import annotations

import base64
import hashlib
from email import message_from_bytes, policy
from email.message import Message
from typing import Any

import pytest

from tests.unit import header_reader
from tests.unit.test_compose import composed, refusal

CALENDAR = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"


def attachment(filename: str, content: bytes = b"x", **more: str) -> dict[str, str]:
    """An attachment as the request has it."""
    return {"filename": filename, "content": base64.b64encode(content).decode(), **more}


def parts(message: bytes) -> list[Message[str, str]]:
    """The message and all its parts, the outer ones first."""
    return list(message_from_bytes(message, policy=policy.compat32).walk())


def content_type(**file: Any) -> tuple[str, dict[str, str]]:
    """The type and the parameters with which one attachment travels."""
    part = parts(composed(attachments=[attachment(**file)]).body)[-1]
    name, _, _ = part["Content-Type"].partition(";")
    return name, header_reader.parameters(part["Content-Type"].replace("\r\n", ""))


@pytest.mark.parametrize("count", [1, 3, 300])
def test_ua6_all_parts_of_the_html_stand_in_one_related(count: int) -> None:
    files = [attachment(f"{number}.png", content_id=f"i{number}") for number in range(count)]
    files.insert(1, attachment("terms.pdf"))

    message = composed(text="x", html="<p>x</p>", attachments=files).body

    whole = parts(message)
    assert [part.get_content_type() for part in whole[:6]] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]
    related = whole[3:-1]
    assert [part["Content-ID"] for part in related[1:]] == [None, *(f"<i{n}>" for n in range(count))]
    assert whole[3].get_param("type") == "text/html"
    assert whole[-1].get_content_type() == "application/pdf"
    boundaries = [part.get_boundary() for part in whole if part.is_multipart()]
    assert len(set(boundaries)) == 3


def test_ua6_a_content_id_that_stands_twice_is_refused() -> None:
    files = [attachment("a.png", content_id="logo"), attachment("b.png", content_id="logo")]

    assert refusal(html="x", attachments=files).field == "attachments[1].content_id"


def test_ua6_a_boundary_stands_in_no_part() -> None:
    usual = parts(composed(text="x", attachments=[attachment("a")]).body)[0].get_boundary()

    message = composed(text=f"--{usual}\r\n", attachments=[attachment("a")]).body

    whole = parts(message)
    assert whole[0].get_boundary() != usual
    assert whole[1].get_payload() == f"--{usual}\r\n"
    assert len(whole) == 3


@pytest.mark.parametrize(
    ("filename", "kind"),
    [
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        ("a.odt", "application/vnd.oasis.opendocument.text"),
        ("a.ods", "application/vnd.oasis.opendocument.spreadsheet"),
        ("INVITE.ICS", "text/calendar"),
        ("a.webp", "image/webp"),
        ("a.7z", "application/x-7z-compressed"),
        ("a.md", "text/markdown"),
        ("report.PDF", "application/pdf"),
        ("data.csv.gz", "application/gzip"),
        ("site.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("mail.eml", "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_ua7_a_type_is_known_by_the_last_ending(filename: str, kind: str) -> None:
    assert content_type(filename=filename)[0] == kind


@pytest.mark.parametrize(
    ("content", "given", "charset"),
    [
        ("Größe\r\n".encode(), None, "utf-8"),
        (b"plain", None, "utf-8"),
        ("Größe".encode("latin-1"), None, None),
        ("Größe".encode("latin-1"), "text/plain; charset=ISO-8859-1", "ISO-8859-1"),
        ("Größe".encode(), 'text/plain; charset="utf-8"', "utf-8"),
        ("Größe".encode("utf-16"), "Text/Plain ; Charset = utf-16", "utf-16"),
    ],
)
def test_ua7_a_text_says_its_charset(content: bytes, given: str | None, charset: str | None) -> None:
    more = {} if given is None else {"content_type": given}

    name, parameters = content_type(filename="liste.txt", content=content, **more)

    assert name == "text/plain"
    assert parameters.get("charset") == charset


@pytest.mark.parametrize(
    ("more", "method"),
    [
        ({"content_type": "text/calendar; method=REQUEST; charset=utf-8"}, "REQUEST"),
        ({"content_type": "text/calendar; method=request"}, "REQUEST"),
        ({"content_type": "text/calendar"}, "REQUEST"),
        ({}, "REQUEST"),
    ],
)
def test_ua7_a_calendar_has_its_method(more: dict[str, str], method: str) -> None:
    assert content_type(filename="invite.ics", content=CALENDAR, **more) == (
        "text/calendar",
        {"charset": "utf-8", "method": method},
    )


def test_ua7_a_calendar_without_a_method_has_none() -> None:
    assert "method" not in content_type(filename="a.ics", content=b"BEGIN:VCALENDAR\r\n")[1]


@pytest.mark.parametrize(
    "kind",
    [
        "text/calendar; method=CANCEL",
        "text/plain; charset=utf-8; charset=latin-1",
        "text/plain; charset",
        "text/plain; charset=a b",
        'text/plain; charset="=?utf-8?q?x?="',
        "text/plain; x=é",
        "text/plain; boundary=x",
        "text/plain; filename=x",
        "text/plain; name=../x",
        'text/plain; name="unfinished',
        "application/pdf, text/plain",
    ],
)
def test_ua7_a_parameter_that_cannot_stand_there_is_refused(kind: str) -> None:
    file = attachment("a", CALENDAR, content_type=kind)

    error = refusal(attachments=[file])

    assert (error.status, error.field) == (422, "attachments[0].content_type")


def test_ua7_other_parameters_and_the_name_are_kept() -> None:
    kind = 'application/pdf; name="Your \\"bill\\".pdf"; version=1.7;'

    assert content_type(filename="a.pdf", content_type=kind) == (
        "application/pdf",
        {"name": 'Your "bill".pdf', "version": "1.7"},
    )


def test_ua1_the_same_message_has_the_same_bytes_on_every_python() -> None:
    """The digest is that of Python 3.11, 3.12 and 3.13."""
    message = composed(
        subject="Größe 👩‍👩‍👧‍👦 " * 20,
        to=[{"address": "you@example.net", "name": "Doe, John " * 20}, {"address": "b@x.de", "name": "K"}],
        text="Zeile für Zeile \r\n" * 40,
        html="<p>ä</p>" * 40,
        headers={"References": "<1@x.example> " * 20, "X-Note": "ünï"},
        attachments=[
            attachment("Rechnung für Größe.pdf", bytes(range(256))),
            attachment("invite.ics", CALENDAR),
            attachment("logo.png", content_id="logo"),
        ],
    ).body

    assert hashlib.sha256(message).hexdigest() == (
        "b01270e558f3142a4393c33c77480ebf26834cb8c6f905d734653201c97231c7"
    )
