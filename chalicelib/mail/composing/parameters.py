"""Parameters of MIME fields (RFC 2045, section 5.1; RFC 2231 for text outside ASCII)."""

from __future__ import annotations

import re
from urllib.parse import quote

LONGEST_PIECE = 60
"""Characters of one piece of a long value (RFC 2231, section 3)."""

_BARE = re.compile(r"[A-Za-z0-9._-]+")
"""Tokens that no reader takes for anything else; all others are quoted."""

_QUOTABLE = re.compile(r"(?![ <])(?!.*=\?)[ !#-\[\]-~]{1,900}(?<! )")
"""What is quoted and read alike by all. Many readers decode an encoded word within quotes, drop blanks at the
ends, take angle brackets for quotes, or leave a quoted quote as it is."""

_UNCHANGED = "!#$&+.^_`|~-"
"""Signs that RFC 2231 lets stand besides letters and digits (attribute-char)."""

_OCTETS = re.compile(r"%..|.")


def encode(name: str, value: str) -> list[str]:
    """The parameter, in as many pieces as its value needs: as it is, quoted, or percent-encoded."""
    if _BARE.fullmatch(value):
        return [f"{name}={value}"]
    if _QUOTABLE.fullmatch(value):
        return [f'{name}="{value}"']
    pieces = _pieces(quote(value, safe=_UNCHANGED))
    if len(pieces) == 1:
        return [f"{name}*=utf-8''{pieces[0]}"]
    first, *others = pieces
    return [
        f"{name}*0*=utf-8''{first}",
        *(f"{name}*{index}*={piece}" for index, piece in enumerate(others, 1)),
    ]


def _pieces(encoded: str) -> list[str]:
    """The percent-encoded value in pieces, no octet divided."""
    pieces = [""]
    for octet in _OCTETS.findall(encoded):
        if len(pieces[-1]) + len(octet) > LONGEST_PIECE:
            pieces.append("")
        pieces[-1] += octet
    return pieces
