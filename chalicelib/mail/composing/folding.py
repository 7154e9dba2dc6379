"""How the standard library is told to write a message's lines.

Its own folding encodes a long word that would have fitted a line of its own, as the ids in References and
In-Reply-To are, and mail programs then lose the thread (python/cpython#100991). Here such a header is
broken between its words only.
"""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any

from chalicelib.mail.composing.addresses import Address
from chalicelib.mail.composing.frozen import LONGEST_LINE

WISHED = 78
"""Octets that a line should not pass (RFC 5322, section 2.1.1)."""

PARSED = frozenset({"from", "to", "cc", "reply-to", "sender", "date", "content-type", "content-disposition"})
"""Headers whose structure the library knows how to fold."""


class WholeWords(EmailPolicy):
    """Keeps every word of an ASCII header in one piece; bodies are 7-bit, so that any server takes them."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        """The header's lines."""
        text = str(value)
        longest = max(map(len, text.split()), default=0)
        if not text.isascii() or name.lower() in PARSED or longest >= LONGEST_LINE:
            return super().fold_binary(name, value)
        return _folded(name, text).encode("ascii")


SEVEN_BIT = WholeWords(linesep="\r\n", cte_type="7bit", max_line_length=WISHED)
INTERNATIONAL = SEVEN_BIT.clone(utf8=True)
"""Headers in UTF-8 (RFC 6532), for addresses that have no other form."""


def address_field(name: str, address: Address) -> bytes:
    """A header field that holds one address."""
    message = EmailMessage(policy=SEVEN_BIT if address.address.isascii() else INTERNATIONAL)
    message[name] = address.header()
    return message.as_bytes().removesuffix(b"\r\n")


def _folded(name: str, text: str) -> str:
    """Broken before words; the first stays beside the name, as some readers take a bare name for empty."""
    first, *words = text.split(" ")
    lines = [f"{name}: {first}"]
    for word in words:
        if word and len(lines[-1]) + 1 + len(word) > WISHED:
            lines.append("")
        lines[-1] += f" {word}"
    return "".join(f"{line}\r\n" for line in lines)
