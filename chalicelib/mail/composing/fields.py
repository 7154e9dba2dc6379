"""Header fields as they are written (RFC 5322): text, lists of addresses, and values with parameters.

The only place that writes a header. What a caller gives is text: it is written so that a reader sees just
that text, never interpreted. Lines are broken between words, at 76 characters where that is possible.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from chalicelib.mail.composing import encoded_words, parameters
from chalicelib.mail.composing.addresses import Address
from chalicelib.mail.composing.frozen import LONGEST_LINE

WISHED = 76
"""Characters of a line with an encoded word (RFC 2047, section 2), so of every line here."""

LEAST_ROOM = 30
"""With less room beside the field's name, its first word begins on the next line."""

_WORDS = re.compile(r" *[^ ]+")
"""A word with the blanks before it."""

_PRINTABLE = re.compile(r"[ -~]*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""A phrase that needs no quotes (RFC 5322, section 3.2.3)."""

_ENCODED = "=?"
"""How an encoded word begins; text that holds it is encoded itself, so that readers leave it alone."""


def verbatim(name: str, value: str) -> bytes:
    """A field with a short value of ours, such as a date, on one line."""
    return _field(name, [value])


def text(name: str, value: str) -> bytes:
    """A field of unstructured text (RFC 5322, section 2.2.1): as it is where it is plain, else encoded."""
    words = plain_words(name, value)
    return _field(name, encoded_words.encode(value, first=_room(name)) if words is None else words)


def plain_words(name: str, value: str) -> list[str] | None:
    """The words of a value that can stand in the field as they are, or None.

    It is printable ASCII, not like an encoded word, without blanks at its ends, and its words fit a line.
    The blanks before a word belong to it, but for one.
    """
    if not _is_plain(value) or value != value.strip(" "):
        return None
    words = [word.removeprefix(" ") for word in _WORDS.findall(value)]
    fits = max(map(len, words), default=0) < LONGEST_LINE - len(name) - 2
    return words if fits else None


def address_list(name: str, people: Iterable[Address]) -> bytes:
    """A field of addresses (RFC 5322, section 3.4), each with its name if it has one."""
    mailboxes = [_mailbox(person, _room(name)) for person in people]
    words = [word for mailbox in mailboxes for word in (*mailbox[:-1], f"{mailbox[-1]},")]
    words[-1] = words[-1].removesuffix(",")
    return _field(name, words)


def parameterised(name: str, value: str, pairs: Mapping[str, str]) -> bytes:
    """A field of MIME (RFC 2045, section 5.1): a token of ours, and parameters with text of callers."""
    words = [value, *(word for key, text in pairs.items() for word in parameters.encode(key, text))]
    return _field(name, [f"{word};" for word in words[:-1]] + words[-1:])


def _mailbox(person: Address, room: int) -> list[str]:
    """One address with its name, as words. A long name is encoded, for readers divide long quoted ones."""
    if not person.name:
        return [person.address]
    return [*_phrase(person.name, room), f"<{person.address}>"]


def _phrase(name: str, room: int) -> list[str]:
    if _is_plain(name) and len(name) + 2 <= room:
        if _ATOMS.fullmatch(name):
            return name.split(" ")
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        if len(escaped) + 2 <= room:
            return [f'"{escaped}"']
    return encoded_words.encode(name, first=room)


def _is_plain(value: str) -> bool:
    return _PRINTABLE.fullmatch(value) is not None and _ENCODED not in value


def _room(name: str) -> int:
    """The characters beside the field's name; a whole word's where it begins on the next line."""
    room = WISHED - len(name) - 2
    return room if room >= LEAST_ROOM else encoded_words.LONGEST


def _field(name: str, words: list[str]) -> bytes:
    """The field's lines.

    A first word stays beside the name, as some readers take a bare name for empty, unless it is an encoded
    one: the line would be longer than RFC 2047 allows.
    """
    lines = [f"{name}:"]
    for index, word in enumerate(words):
        may_stay = index == 0 and not word.startswith(_ENCODED)
        if not may_stay and len(lines[-1]) + 1 + len(word) > WISHED:
            lines.append("")
        lines[-1] += f" {word}"
    if any(ord(sign) < ord(" ") for line in lines for sign in line):
        raise ValueError(f"a control character in the field {name}")
    return "".join(f"{line}\r\n" for line in lines).encode()
