"""Reads a composed header back before anything is stored: exactly the fields that were written, once each.

A reader of its own, which knows nothing of how the fields were made: whatever slips through there would let
the author of a name or a subject write fields, a body, or another sender.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_FIELD = re.compile(rb"([!-9;-~]+):[^\r\n]*\r\n(?:[ \t]+[^ \t\r\n][^\r\n]*\r\n)*")
"""A field on lines of its own; a line that only holds blanks is none of it."""

_ADDRESS = r"[^\s\"(),:;<>@\[\\\]]+@[A-Za-z0-9.-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = re.compile(
    rf"[ ]*(?:(?:{_QUOTED}|{_WORD}(?:[ ]+{_WORD})*)[ ]+<({_ADDRESS})>|({_ADDRESS}))[ ]*(,|$)"
)
"""One address with its name: quoted, or words (RFC 5322, section 3.4)."""


class HeaderChangedError(Exception):
    """A composed header is not read as it was written: a mistake in the writer, and nothing was stored."""


def require_header(
    message: bytes, names: Sequence[str], body: bytes, *, addresses: Mapping[str, Sequence[str]]
) -> None:
    """Returns when a message reads as it was meant to: its fields, and the body behind them.

    `names` are the fields in their order; `addresses` are those of fields of addresses, by name. Raises
    HeaderChangedError.
    """
    header, _, rest = message.partition(b"\r\n\r\n")
    if rest != body:
        raise HeaderChangedError("The body of a composed message does not begin where it was written.")
    values = _values(header + b"\r\n")
    if [name for name, _ in values] != list(names):
        raise HeaderChangedError("The fields of a composed message are not those that were written.")
    texts = dict(values)
    for name, expected in addresses.items():
        if _addresses(texts[name]) != list(expected):
            raise HeaderChangedError(f"The addresses of {name} are not those that were written.")


def _values(header: bytes) -> list[tuple[str, str]]:
    """The fields' names and values, the values on one line."""
    fields, position = [], 0
    while position < len(header):
        match = _FIELD.match(header, position)
        if match is None:
            raise HeaderChangedError("A line of a composed header is none of a field.")
        name, _, value = match[0].decode().partition(":")
        fields.append((name, value.replace("\r\n", "")))
        position = match.end()
    return fields


def _addresses(value: str) -> list[str]:
    addresses, position, separator = [], 0, ","
    while separator == ",":
        match = _MAILBOX.match(value, position)
        if match is None:
            raise HeaderChangedError("A composed list of addresses cannot be read.")
        addresses.append(match[1] or match[2])
        position, separator = match.end(), match[3]
    return addresses
