"""Encoded words: text outside ASCII in a header (RFC 2047).

An encoded word is ``=?utf-8?q?…?=`` or ``=?utf-8?b?…?=``, 75 characters at most, and holds whole characters
only. Readers drop the blanks between two of them, so the blanks of the text stand inside the words.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

LONGEST = 75
"""Characters of one encoded word (RFC 2047, section 2)."""

FRAME = len("=?utf-8?q?") + len("?=")

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
"""Octets that stand for themselves in the Q encoding, also within a phrase (RFC 2047, section 5 (3))."""

_EXTEND = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u093c\u093e-\u094d\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f"
    "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef"
)
"""Characters that belong to the one before them: our own list, as Python's differs between its releases."""

_CLUSTER = re.compile(
    f"(?:[\U0001f1e6-\U0001f1ff]{{2}}|.)[{_EXTEND}]*(?:\u200d(?:.[{_EXTEND}]*)?)*", re.DOTALL
)
"""What a reader sees as one character, roughly as Unicode's UAX #29 has it."""


def encode(text: str, *, first: int = LONGEST) -> list[str]:
    """The encoded words of the text, in the encoding that is shorter; `first` is the room for the first one.

    Joined by blanks they read as `text`. A character that is seen as one is not divided where it fits.
    """
    octets = text.encode()
    marked = sum(octet not in _PLAIN and octet != ord(" ") for octet in octets)
    encoding = "q" if 2 * marked <= len(octets) / 3 else "b"
    pieces = _pieces(text, encoding, first)
    return [f"=?utf-8?{encoding}?{_payload(piece, encoding)}?=" for piece in pieces]


def _pieces(text: str, encoding: str, first: int) -> Iterator[str]:
    """The text in pieces that fill a word each."""
    room, piece, size = first - FRAME, "", 0
    for unit in _units(text, encoding):
        octets = _size(unit, encoding)
        if piece and _length(size + octets, encoding) > room:
            yield piece
            room, piece, size = LONGEST - FRAME, "", 0
        piece, size = piece + unit, size + octets
    yield piece


def _units(text: str, encoding: str) -> Iterator[str]:
    """What is not divided: clusters, and the characters of a cluster that is too long for any word."""
    for cluster in _CLUSTER.findall(text):
        if _length(_size(cluster, encoding), encoding) <= LONGEST - FRAME:
            yield cluster
        else:
            yield from cluster


def _size(text: str, encoding: str) -> int:
    """The characters of the text in Q; its octets for base64."""
    octets = text.encode()
    if encoding == "b":
        return len(octets)
    return sum(1 if octet in _PLAIN or octet == ord(" ") else 3 for octet in octets)


def _length(size: int, encoding: str) -> int:
    return size if encoding == "q" else 4 * -(-size // 3)


def _payload(text: str, encoding: str) -> str:
    octets = text.encode()
    if encoding == "b":
        return base64.b64encode(octets).decode()
    return "".join(map(_q, octets))


def _q(octet: int) -> str:
    if octet == ord(" "):
        return "_"
    return chr(octet) if octet in _PLAIN else f"={octet:02X}"
