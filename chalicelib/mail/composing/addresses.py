"""Mail addresses as callers write them: one address a string, checked without any look-up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import text


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address, its domain in ASCII form (RFC 5890), and the name to show, which may be empty."""

    address: str
    name: str = ""


def checked(address: str, field: str, *, name: str = "") -> Address:
    """The address, checked by RFC 5321's and RFC 6531's rules; `field` names it in the error.

    `name` is taken as it is.

    Quoted local parts and address literals are refused: servers disagree about them. A domain under
    ``.test`` is taken, so that an installation can be tried out. Raises InvalidInput.
    """
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(
            text.single_line(address, field), strict=True, check_deliverability=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise InvalidInput(
            f"This is not one mail address: {error}",
            fix="Write one address, such as ada@example.com.",
            field=field,
        ) from error
    return Address(f"{found.local_part}@{found.ascii_domain}", name)


def same(one: str, other: str) -> bool:
    """Whether two addresses name the same mailbox."""
    return folded(one) == folded(other)


def folded(address: str) -> str:
    """The address as it is compared: providers ignore the case of both parts."""
    return written(address.casefold())


def written(address: str) -> str:
    """The address as it is written in a message and on the wire: its domain in ASCII form (RFC 5890)."""
    local, at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    import idna

    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return address


def unique(addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses in their order, each once; only the domain's case is ignored (RFC 5321, section 2.4)."""
    found: dict[str, str] = {}
    for address in addresses:
        local, _, domain = address.rpartition("@")
        found.setdefault(f"{local}@{domain.lower()}", address)
    return tuple(found.values())
