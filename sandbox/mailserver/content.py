"""Reading the headers and parts of a message, and the one rewriting that Google's temperament does.

Messages come from programs under test and may be malformed in any way, so nothing here raises for content.
"""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

_FROM_FIELD = re.compile(rb"^(From:)([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE)
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(frozen=True)
class Attachment:
    """One part of a message that is neither its text nor its HTML; ``size`` is in octets, decoded."""

    filename: str
    content_type: str
    size: int


@dataclass(frozen=True)
class Content:
    """What a page shows of a message; ``text`` and ``html`` are None where the message has no such part."""

    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]

    def header(self, name: str) -> str:
        """Return the first header of that name, decoded, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def parse(raw: bytes) -> Content:
    """Read a message's headers and parts."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    text = next((part for part in leaves if _is_body(part, "text/plain")), None)
    html = next((part for part in leaves if _is_body(part, "text/html")), None)
    return Content(
        headers=tuple((name, _decoded(value)) for name, value in message.items()),
        text=None if text is None else _text(text),
        html=None if html is None else _text(html),
        attachments=tuple(_attachment(part) for part in leaves if part is not text and part is not html),
    )


def message_id(raw: bytes) -> str | None:
    """Return the Message-ID header as it stands, without surrounding space, or None if there is none."""
    return _header(raw, "Message-ID")


def from_addresses(raw: bytes) -> list[str]:
    """Return the bare addresses of the From header."""
    return [address for _, address in getaddresses([_header(raw, "From") or ""]) if address]


def rewrite_from(raw: bytes, account: str) -> bytes:
    """Put the account in place of the From address, as Gmail does, and keep the old header beside it.

    The display name stays. The bytes come back unchanged if From already names the account alone, or if
    there is no From address.
    """
    addresses = from_addresses(raw)
    if not addresses or [each.casefold() for each in addresses] == [account.casefold()]:
        return raw
    head, separator, body = raw.partition(b"\r\n\r\n")
    field = _FROM_FIELD.search(head)
    if field is None:
        return raw
    original = field[2].rstrip(b"\r")
    before, _, after = original.rpartition(addresses[0].encode("utf-8", "surrogateescape"))
    replaced = field[1] + before + account.encode() + after + b"\r\nX-Google-Original-From:" + original
    end = field.start() + len(field[1]) + len(original)
    return head[: field.start()] + replaced + head[end:] + separator + body


def has_bare_newlines(raw: bytes) -> bool:
    """Whether a CR or an LF stands alone, which RFC 5321 section 2.3.8 forbids."""
    return _BARE_NEWLINE.search(raw) is not None


def _header(raw: bytes, name: str) -> str | None:
    head = raw.partition(b"\r\n\r\n")[0]
    value = email.message_from_bytes(head, policy=email.policy.compat32).get(name)
    return None if value is None else " ".join(str(value).split())


def _decoded(value: object) -> str:
    written = " ".join(str(value).split())
    try:
        return str(make_header(decode_header(written)))
    except (HeaderParseError, LookupError, ValueError):
        return written  # an encoded word that cannot be decoded is shown as it came


def _is_body(part: Message, content_type: str) -> bool:
    return part.get_content_type() == content_type and part.get_content_disposition() != "attachment"


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _attachment(part: Message) -> Attachment:
    payload = part.get_payload(decode=True)
    size = len(payload) if isinstance(payload, bytes) else 0
    return Attachment(_decoded(part.get_filename("(no name)")), part.get_content_type(), size)
