"""Mail addresses of a message, each with the name to show."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib import addresses
from chalicelib.mail.composing import text


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address, its domain in ASCII form (RFC 5890), and the name to show, which may be empty."""

    address: str
    name: str = ""


def checked(address: str, field: str, *, name: str = "") -> Address:
    """The address by the rule of `chalicelib.addresses`; `field` names it in the error.

    `name` is taken as it is. Raises InvalidInput.
    """
    return Address(addresses.checked(text.single_line(address, field), field).ascii, name)
