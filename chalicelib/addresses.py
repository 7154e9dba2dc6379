"""Mail addresses: which text is one, how it is written, and when two of them name the same mailbox.

The one rule for accounts, imports, messages, callers' limits, and what providers say. It is about syntax
alone: names of a local network (``.local``, ``.internal``, ``.test``) are domains like others, as mail
servers can be named by whoever runs the installation.
"""

from __future__ import annotations

import re
import string
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from email_validator import ValidatedEmail

LONGEST = 320
"""Characters of what is looked at as an address: 64, the at sign, 255 (RFC 5321, section 4.5.3.1)."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

_READ_AS_ASCII = re.compile("[\u037e\u1fef\u212a]")
"""The characters that Unicode's normal form C makes ASCII: Greek question mark and varia, and Kelvin sign."""

_ENCODED_WORD = "=?"
"""How an encoded word begins (RFC 2047); some readers decode it where an address stands."""


class Checked(NamedTuple):
    """An address that is one: its domain in Unicode, as accounts have it, and in ASCII, as messages do."""

    shown: str
    ascii: str


def checked(text: str, field: str) -> Checked:
    """The address, by RFC 5321's and RFC 6531's syntax; `field` names it in the error.

    Blanks around it are left out. Quoted local parts and address literals are refused, as servers disagree
    about them, and so are domains without a dot. Raises InvalidInput.
    """
    address = text.strip(" ")
    if len(address) > LONGEST:
        raise _refused(f"It has {len(address):,} characters; {LONGEST} are the most.", field)
    local = address.rpartition("@")[0]
    if match := _READ_AS_ASCII.search(local):
        raise _refused(
            f"It holds U+{ord(match[0]):04X}, which some programs take for an ASCII character.", field
        )
    if _ENCODED_WORD in local:
        raise _refused("It holds =?, which begins an encoded word.", field)
    return _valid(address, field)


def _valid(address: str, field: str) -> Checked:
    from email_validator import EmailNotValidError

    try:
        valid = _validator()(address, strict=True, check_deliverability=False)
    except EmailNotValidError as error:
        raise _refused(str(error), field) from error
    return Checked(valid.normalized, f"{valid.local_part}@{valid.ascii_domain}")


@cache
def _validator() -> Callable[..., ValidatedEmail]:
    """The library's function, which refuses no domain for being special (a way that it documents)."""
    import email_validator

    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()
    return email_validator.validate_email


def same(address: str, other: str) -> bool:
    """Whether two addresses name the same mailbox, however they are written."""
    return folded(address) == folded(other)


def among(address: str, others: Iterable[str]) -> bool:
    """Whether the address names the same mailbox as one of the others."""
    return folded(address) in map(folded, others)


def folded(address: str) -> str:
    """The address as it is compared: ASCII letters small, the domain in ASCII form (RFC 5890).

    Providers ignore the case of ASCII letters in both parts. No other character becomes another one in the
    local part: U+212A (Kelvin sign), U+017F (long s) and ß are no k, s and ss there.
    """
    return written(_composed(lowered(address)))


def lowered(address: str) -> str:
    """The address without blanks around it and with its ASCII letters small; no other character changes."""
    return address.strip().translate(_LOWER)


def written(address: str) -> str:
    """The address as it is written in a message and on the wire: its domain in ASCII form (RFC 5890)."""
    local, at, domain = address.rpartition("@")
    if domain.isascii() or len(domain) > LONGEST:
        return address
    import idna

    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return address


def unique(addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses in their order, each once; only the domain's case is ignored (RFC 5321, section 2.4)."""
    by_mailbox: dict[str, str] = {}
    for address in addresses:
        local, _, domain = address.rpartition("@")
        by_mailbox.setdefault(f"{local}@{lowered(domain)}", address)
    return tuple(by_mailbox.values())


def _composed(address: str) -> str:
    """The address in normal form C, as `checked` gives it; left alone where that would make ASCII of it."""
    local, at, domain = address.rpartition("@")
    if _READ_AS_ASCII.search(local):
        return address
    return f"{unicodedata.normalize('NFC', local)}{at}{domain}"


def _refused(why: str, field: str) -> InvalidInput:
    return InvalidInput(
        f"This is not one mail address: {why}", fix="Write one address, such as ada@example.com.", field=field
    )
