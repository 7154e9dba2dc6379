"""Message bytes as they leave: composed once, checked once, never changed again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from chalicelib.errors import InvalidInput, TooLarge
from chalicelib.mail.models import Envelope

LONGEST_LINE = 998
"""Octets without CRLF (RFC 5322, section 2.1.1)."""

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A message with its envelope, ready for any transport. `message_id` is with its angle brackets."""

    envelope: Envelope
    body: bytes = field(repr=False)
    message_id: str
    subject: str


def with_crlf(raw: bytes) -> bytes:
    """The bytes with every line end as CRLF, also at the end."""
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def check(body: bytes, *, limit: int, field: str | None) -> bytes:
    """The bytes, if they can travel by SMTP as they are; `limit` in bytes.

    Raises TooLarge, and InvalidInput for a NUL, a line over LONGEST_LINE, or a bare CR or LF, which
    servers read differently (that is how messages are smuggled).
    """
    if len(body) > limit:
        raise TooLarge(
            f"The message has {len(body)} bytes; its provider takes {limit}.",
            fix="Send fewer or smaller attachments (base64 adds a third to each).",
            field=field,
        )
    if b"\0" in body or _BARE.search(body) or not body.endswith(b"\r\n"):
        raise InvalidInput(
            "The message holds a NUL or a bare line end.", fix="Encode it as base64.", field=field
        )
    if max(map(len, body.split(b"\r\n"))) > LONGEST_LINE:
        raise InvalidInput(
            f"The message has a line of more than {LONGEST_LINE} bytes.",
            fix="Encode the part as base64 or quoted-printable.",
            field=field,
        )
    return body
