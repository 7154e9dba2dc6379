"""The header of a message that its caller wrote itself: lines, fields, and the addresses in them.

A line ends with CRLF or LF, in the body also with CR: each is one line end. A CR in the header is refused, as
some readers see two fields where others see one. A byte order mark and the ``From `` line of a mailbox file
(RFC 4155) before the first field are left out. What is refused is told with its line or its field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import address_lists
from chalicelib.mail.composing.address_lists import AddressList
from chalicelib.mail.composing.frozen import LONGEST_HEADER

_BOM = b"\xef\xbb\xbf"
_MBOX = re.compile(rb"From [^\s:][^\r\n]*\r?\n")
"""The line that begins a message in a mailbox file; the field From has its colon."""

_EMPTY_LINE = re.compile(rb"(?:\A|\n)\r?\n")

_FIELD = re.compile(rb"([!-9;-~]+):[^\r\n]*\r\n(?:[ \t]+[^ \t\r\n][^\r\n]*\r\n)*")
"""A header field; white space before its colon (RFC 5322, section 4.5) is refused, as most readers do."""

_NAME_AND_BLANK = re.compile(rb"[!-9;-~]+[ \t]+:")


class Field(NamedTuple):
    """A header field: its lower-case name, its exact bytes, and the line of the message where it begins."""

    name: str
    octets: bytes
    line: int = 0

    @property
    def shown(self) -> str:
        """Its name as it is written."""
        return self.octets.partition(b":")[0].decode()

    @property
    def text(self) -> str:
        """Its text on one line, without its name."""
        return self.octets.decode().partition(":")[2].replace("\r\n", "").strip()


def parted(raw: bytes) -> tuple[list[Field], bytes]:
    """The fields of a raw message and its body, lines ending with CRLF. Raises InvalidInput."""
    message, left_out = _without_preamble(raw)
    boundary = _EMPTY_LINE.search(message)
    end = boundary.end() if boundary else len(message)
    if not message or (boundary and boundary.start() == 0 and message[:1] in b"\r\n"):
        raise unreadable(f"line {left_out + 1} is empty, and its header has to come first")
    _require_none(rb"\0", "a NUL", message, left_out + 1)
    _require_none(rb"\r(?!\n)", "a CR without an LF behind it", message[:end], left_out + 1)
    header = re.sub(rb"\r?\n", b"\r\n", message[:end]).removesuffix(b"\r\n" if boundary else b"")
    header = header if header.endswith(b"\r\n") else header + b"\r\n"
    if len(header) > LONGEST_HEADER:
        raise unreadable(f"its header is longer than {LONGEST_HEADER // 1024} KiB")
    return fields(header, left_out + 1), _whole_lines(message[end:])


def fields(header: bytes, first_line: int = 1) -> list[Field]:
    """The fields of a header whose lines end with CRLF. Raises InvalidInput that names a line."""
    header_fields, position, line = [], 0, first_line
    while position < len(header):
        match = _FIELD.match(header, position)
        if match is None:
            raise unreadable(f"line {line} {_fault(header, position)}")
        header_fields.append(Field(match[1].decode("ascii").lower(), match[0], line))
        position, line = match.end(), line + match[0].count(b"\n")
    return header_fields


def first(header: Iterable[Field], name: str) -> str:
    """The text of the first field with that name; empty where there is none."""
    return next((field.text for field in header if field.name == name), "")


def addresses_of(field: Field, *, place: str = "raw") -> AddressList:
    """The addresses of a field. Raises InvalidInput, naming `place`, where readers could differ."""
    try:
        return address_lists.read(field.text)
    except address_lists.UnreadableError as error:
        raise unreadable(f"its {field.shown} field {error}", place) from error


def unreadable(why: str, place: str = "raw") -> InvalidInput:
    """The error that says why a message is not used."""
    if place != "raw":
        return InvalidInput(
            f"The message cannot be used: {why}.", fix="Write addresses, with commas between.", field=place
        )
    return InvalidInput(
        f"The raw message cannot be used: {why}.",
        fix="Send one message as RFC 5322 has it, in base64.",
        field=place,
    )


def _without_preamble(raw: bytes) -> tuple[bytes, int]:
    """The message without a byte order mark and the line of a mailbox file, and how many lines that were."""
    message = raw.removeprefix(_BOM)
    match = _MBOX.match(message)
    return (message[match.end() :], 1) if match else (message, 0)


def _whole_lines(body: bytes) -> bytes:
    """The body with every CRLF, CR and LF as one CRLF, also at its end if there is any of it."""
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", body)
    return lines if not lines or lines.endswith(b"\r\n") else lines + b"\r\n"


def _require_none(pattern: bytes, what: str, octets: bytes, first_line: int) -> None:
    """Returns where the pattern is nowhere. Raises InvalidInput with the line where it is."""
    if match := re.search(pattern, octets):
        line = first_line + octets.count(b"\n", 0, match.start())
        raise unreadable(f"line {line} holds {what}")


def _fault(header: bytes, position: int) -> str:
    """What is wrong with the line there, for the sentence "line 3 …"."""
    line = header[position : header.index(b"\r\n", position)]
    if _NAME_AND_BLANK.match(line):
        return "has a blank between a field's name and its colon"
    if not line.strip(b" \t"):
        return "holds nothing but blanks within the header"
    if line[:1] in b" \t":
        return "continues a field, and there is none before it"
    if not line.partition(b":")[0].isascii():
        return "has bytes outside ASCII in a field's name"
    return "is not a header field (a name, a colon, a value)"
