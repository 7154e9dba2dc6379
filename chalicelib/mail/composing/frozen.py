"""Message bytes as they leave: composed once, checked once, never changed again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from chalicelib.errors import InvalidInput, TooLarge
from chalicelib.mail.models import Envelope

LONGEST_LINE = 998
"""Octets without CRLF (RFC 5322, section 2.1.1)."""

LONGEST_HEADER = 256 * 1024
"""Octets of a header that Exchange Online takes (its limits on message headers)."""

LONGEST_SHOWN = 998
"""Characters of the subject, and of the Message-ID, in a message's record."""

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A message with its envelope, ready for any transport. `message_id` is with its angle brackets."""

    envelope: Envelope
    body: bytes = field(repr=False)
    message_id: str
    subject: str


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
    _require_line_lengths(body, field)
    return body


def _require_line_lengths(body: bytes, field: str | None) -> None:
    lines = body.split(b"\r\n")
    if max(map(len, lines)) <= LONGEST_LINE:
        return
    number = next(number for number, line in enumerate(lines) if len(line) > LONGEST_LINE)
    in_header = number < body.partition(b"\r\n\r\n")[0].count(b"\r\n") + 1
    text = lines[number][:30].decode("ascii", "replace")
    raise InvalidInput(
        f"The message has a line of more than {LONGEST_LINE} bytes in its"
        f" {'header' if in_header else 'body'}; it begins with {text!r}.",
        fix="Fold the header field (RFC 5322, section 2.2.3), or encode its text as base64 (RFC 2047)."
        if in_header
        else "Encode the part as base64 or quoted-printable.",
        field=field,
    )
