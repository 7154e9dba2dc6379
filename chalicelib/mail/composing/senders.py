"""In whose name a message goes out.

That is the account's own address, one that it may use besides, or what its policy makes of any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib import addresses
from chalicelib.accounts.models.account import Account, FromPolicy
from chalicelib.errors import Forbidden
from chalicelib.mail.composing.addresses import Address


@dataclass(frozen=True, slots=True)
class Sender:
    """What From says, and where answers go if the message itself does not say so."""

    shown: Address
    reply_to: Address | None = None


def own(account: Account) -> Address:
    """The account's own address and name."""
    return Address(own_address(account), account.display_name)


def own_address(account: Account) -> str:
    """The account's own address as messages and envelopes have it."""
    return addresses.written(account.address)


def sender(asked: Address | None, account: Account, field: str) -> Sender:
    """Who the message is from, where the request asks for `asked`.

    Raises Forbidden (``from_not_allowed``) for an address that the account may not use and its policy does
    not replace.
    """
    if asked is None:
        return Sender(own(account))
    shown = Address(_spelt(asked.address, account), _name(asked.name, account))
    if may_use(asked.address, account):
        return Sender(shown)
    if account.from_policy is FromPolicy.REJECT:
        raise Forbidden(
            f"The account sends as {' or '.join((account.address, *account.from_addresses))} only.",
            fix="Leave from out, name the account's own address, or have this one added to the account.",
            field=field,
            code="from_not_allowed",
        )
    replaced = Address(own_address(account), _name(asked.name, account))
    return Sender(replaced, asked if account.from_policy is FromPolicy.REWRITE_REPLY_TO else None)


def may_use(address: str, account: Account) -> bool:
    """Whether the account may name the address in From."""
    return addresses.among(address, (account.address, *account.from_addresses))


def _spelt(address: str, account: Account) -> str:
    """The account's own address as the account writes it."""
    return own_address(account) if addresses.same(address, account.address) else address


def _name(asked: str, account: Account) -> str:
    return account.display_name if account.always_name else asked
