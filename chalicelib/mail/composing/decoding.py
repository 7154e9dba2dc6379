"""Text of a header that somebody else wrote, as its readers see it (RFC 2047)."""

from __future__ import annotations

import base64
import binascii
import quopri
import re

_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]+)(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([!->@-~]*)\?=")
_BETWEEN = re.compile(r"(\?=)[ \t]+(?==\?[A-Za-z0-9_.:+*-]+\?[BbQq]\?)")


def decoded(text: str) -> str:
    """The text with its encoded words decoded; one that cannot be decoded stays as it is."""
    return _WORD.sub(_letters, _BETWEEN.sub(r"\1", text))


def _letters(word: re.Match[str]) -> str:
    charset, encoding, payload = word.groups()
    try:
        octets = _base64(payload) if encoding in "Bb" else quopri.decodestring(payload, header=True)
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):
        return word[0]


def _base64(payload: str) -> bytes:
    """The octets; padding that was left out is no reason to show nothing."""
    try:
        return base64.b64decode(payload + "=" * (-len(payload) % 4))
    except binascii.Error as error:
        raise ValueError(payload) from error
