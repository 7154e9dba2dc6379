"""The body of a message: text, its HTML with parts that it shows, and files (RFC 2045, 2046, 2183, 2387)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.mail.composing import fields
from chalicelib.mail.composing.media_types import MediaType

LONGEST_PLAIN = 78
"""Characters up to which a line of text travels as it is (RFC 5322, section 2.1.1)."""

_PLAIN = re.compile(rb"[\t\n -~]*")
_SPECIAL = re.compile(rb"[^\n -<>-~]")
"""Octets that quoted-printable writes with three characters."""

_SEVEN_BIT, _QUOTED_PRINTABLE, _BASE64 = "7bit", "quoted-printable", "base64"


@dataclass(frozen=True, slots=True)
class Part:
    """The header fields of a part, as lines, and its content in the form in which it travels."""

    fields: tuple[bytes, ...]
    content: bytes

    def render(self) -> bytes:
        """The part's bytes."""
        return b"".join([*self.fields, b"\r\n", self.content])


def text(value: str, subtype: str) -> Part:
    """A text: as it is where it is short lines of ASCII, otherwise encoded in the shorter way."""
    octets = re.sub(r"\r\n|\r", "\n", value).encode()
    if not octets.endswith(b"\n"):
        octets += b"\n"
    media_type = MediaType(f"text/{subtype}", {"charset": "utf-8"})
    encoding = _encoding(octets)
    return Part(_content_fields(media_type, encoding), _encoded(octets, encoding))


def file(content: bytes, media_type: MediaType, filename: str, *, content_id: str | None = None) -> Part:
    """A file to keep, or with a content id one that the HTML shows."""
    disposition = "attachment" if content_id is None else "inline"
    own_fields = [
        *_content_fields(media_type, _BASE64),
        fields.parameterised("Content-Disposition", disposition, {"filename": filename}),
    ]
    if content_id is not None:
        own_fields.append(fields.verbatim("Content-ID", f"<{content_id}>"))
    return Part(tuple(own_fields), _base64(content))


def multipart(subtype: str, parts: Sequence[Part], seed: str, **parameters: str) -> Part:
    """Parts in one; `seed` makes the boundary, which stands in none of them."""
    rendered = [part.render() for part in parts]
    boundary = _boundary(f"{seed} {subtype}", rendered)
    media_type = MediaType(f"multipart/{subtype}", {"boundary": boundary, **parameters})
    line = f"--{boundary}".encode()
    content = b"".join(line + b"\r\n" + part + b"\r\n" for part in rendered) + line + b"--\r\n"
    return Part((_content_type(media_type),), content)


def _content_fields(media_type: MediaType, encoding: str) -> tuple[bytes, ...]:
    return _content_type(media_type), fields.verbatim("Content-Transfer-Encoding", encoding)


def _content_type(media_type: MediaType) -> bytes:
    return fields.parameterised("Content-Type", media_type.name, media_type.parameters)


def _boundary(seed: str, rendered: Sequence[bytes]) -> str:
    """A boundary that begins no line of the parts. The same for the same seed and parts."""
    number = 0
    while True:
        digest = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32]
        boundary = f"=_{digest}"
        if not any(boundary.encode() in part for part in rendered):
            return boundary
        number += 1


def _encoding(octets: bytes) -> str:
    lines = octets.split(b"\n")
    if _PLAIN.fullmatch(octets) and max(map(len, lines)) <= LONGEST_PLAIN:
        return _SEVEN_BIT
    is_mostly_plain = 2 * len(_SPECIAL.findall(octets)) <= len(octets) / 3
    return _QUOTED_PRINTABLE if is_mostly_plain else _BASE64


def _encoded(octets: bytes, encoding: str) -> bytes:
    if encoding == _BASE64:
        return _base64(octets.replace(b"\n", b"\r\n"))
    if encoding == _QUOTED_PRINTABLE:
        octets = binascii.b2a_qp(octets, istext=True)
    return octets.replace(b"\n", b"\r\n")


def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n")
