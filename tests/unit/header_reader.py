"""A reader of headers by the RFCs, which shares nothing with their writer."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

WORD = re.compile(r"=\?([!-<>@-~]+)\?([QqBb])\?([!->@-~]*)\?=")
"""An encoded word (RFC 2047, section 2)."""

ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
ADDRESS = re.compile(r"[^\s<>,;:\"()\[\]\\@]+@[A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Mailbox:
    """An address and the name that a reader shows beside it."""

    address: str
    name: str


def fields(message: bytes) -> list[tuple[str, str]]:
    """The header's fields, unfolded; fails for lines and words that are longer than the RFCs allow."""
    head = message.partition(b"\r\n\r\n")[0].decode()
    for line in head.split("\r\n"):
        words = WORD.findall(line)
        assert len(line.encode()) <= 998
        assert not words or len(line) <= 76, line
        assert line.strip(" "), "a line of blanks"
        assert "?==?" not in line
        assert "\r" not in line
        assert "\n" not in line
    for match in WORD.finditer(head):
        assert len(match[0]) <= 75
        match_text(match)
    unfolded = re.sub(r"\r\n(?=[ \t])", "", head)
    pairs = [line.partition(":") for line in unfolded.split("\r\n")]
    assert all(separator for _, separator, _ in pairs)
    return [(name, value.removeprefix(" ")) for name, _, value in pairs]


def field(message: bytes, name: str) -> str:
    """The one field of that name."""
    (value,) = [value for key, value in fields(message) if key.lower() == name.lower()]
    return value


def text(value: str) -> str:
    """What a reader shows of unstructured text: blanks between adjacent encoded words are dropped."""
    joined = re.sub(rf"({WORD.pattern})[ \t]+(?={WORD.pattern})", r"\1", value)
    return WORD.sub(match_text, joined)


def match_text(match: re.Match[str]) -> str:
    """The characters of one encoded word, which must be whole ones."""
    charset, encoding, payload = match[1], match[2].lower(), match[3]
    if encoding == "b":
        return base64.b64decode(payload, validate=True).decode(charset)
    return unquote_to_bytes(payload.replace("%", "=25").replace("=", "%").replace("_", " ")).decode(charset)


def mailboxes(value: str) -> list[Mailbox]:
    """The addresses of a list with their names (RFC 5322, section 3.4)."""
    people, position = [], 0
    while True:
        person, position = _mailbox(value, position)
        people.append(person)
        position = _blanks(value, position)
        if position == len(value):
            return people
        assert value[position] == ",", value[position:]
        position += 1


def _mailbox(value: str, position: int) -> tuple[Mailbox, int]:
    position = _blanks(value, position)
    bare = ADDRESS.match(value, position)
    if bare:
        return Mailbox(bare[0], ""), bare.end()
    words: list[str] = []
    while value[position] != "<":
        word, position = _word(value, position)
        words.append(word)
        position = _blanks(value, position)
    address = ADDRESS.match(value, position + 1)
    assert address is not None
    assert value[address.end()] == ">"
    return Mailbox(address[0], _phrase(words)), address.end() + 1


def _word(value: str, position: int) -> tuple[str, int]:
    """A quoted string as it is written, or an atom."""
    if value[position] == '"':
        quoted = re.compile(r'"(?:[^"\\]|\\.)*"').match(value, position)
        assert quoted is not None
        return quoted[0], quoted.end()
    atom = ATOM.match(value, position)
    assert atom is not None, value[position : position + 30]
    return atom[0], atom.end()


def _phrase(words: list[str]) -> str:
    """Words as they are shown: quoted ones without quotes, adjacent encoded ones without a blank between."""
    shown, was_encoded = "", True
    for word in words:
        match = WORD.fullmatch(word)
        plain = re.sub(r"\\(.)", r"\1", word[1:-1]) if word[0] == '"' else word
        is_encoded = match is not None
        shown += "" if (was_encoded and is_encoded) or not shown else " "
        shown += match_text(match) if match else plain
        was_encoded = is_encoded
    return shown


def _blanks(value: str, position: int) -> int:
    while position < len(value) and value[position] == " ":
        position += 1
    return position


def parameters(value: str) -> dict[str, str]:
    """The parameters of a MIME field, with their continuations put together (RFC 2231)."""
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    pattern = re.compile(r';\s*([a-z-]+)(?:\*(\d+))?(\*)?=("(?:[^"\\]|\\.)*"|[^\s;"]+)', re.IGNORECASE)
    rest = value[value.index(";") :] if ";" in value else ""
    assert pattern.sub("", rest).strip() == "", rest
    for name, number, star, text_ in pattern.findall(rest):
        plain = re.sub(r"\\(.)", r"\1", text_[1:-1]) if text_[0] == '"' else text_
        assert "=?" not in plain
        place = pieces.setdefault(name, {})
        assert int(number or 0) not in place
        place[int(number or 0)] = (bool(star), plain)
    return {name: _joined(place) for name, place in pieces.items()}


def _joined(place: dict[int, tuple[bool, str]]) -> str:
    assert sorted(place) == list(range(len(place)))
    octets = b"".join(
        unquote_to_bytes(piece) if is_encoded else piece.encode() for is_encoded, piece in _by_number(place)
    )
    return octets.removeprefix(b"utf-8''").decode()


def _by_number(place: dict[int, tuple[bool, str]]) -> list[tuple[bool, str]]:
    return [place[number] for number in sorted(place)]
