"""Callers: the principals that may use some accounts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ALL_ACCOUNTS = "*"
MOST_NAMED = 100
"""As many addresses, and as many domains, a caller's limits may name: its row is read often."""
MOST_PER_MINUTE = 10_000
"""What DynamoDB can count in one row, with much to spare."""


class Scope(StrEnum):
    """What a caller may do."""

    SEND = "send"
    """Hand in messages and see what became of its own."""
    READ = "read"
    """See accounts, connectors and the records of messages; never their bodies."""
    ADMIN = "admin"
    """Register connectors, connect accounts, make callers, resolve messages."""


class CallerKind(StrEnum):
    """How a caller is recognised. Its id follows from it."""

    KEY = "key"
    """An API key; the id is ``key_…``."""
    ROLE = "role"
    """An IAM role or user; the id is ``role:`` and its ARN."""
    FUNCTION = "lambda"
    """An alias of the send function; the id is ``lambda:<alias>``, or ``lambda`` for the unqualified one."""


@dataclass(frozen=True, slots=True)
class SendLimits:
    """What a caller's messages are held to, whichever of its accounts they are sent from.

    Addresses and domains are case-folded, domains in ASCII form (RFC 5890). What is empty or None limits
    nothing.
    """

    from_addresses: frozenset[str] = frozenset()
    """What From and Sender may name, of what the account may name."""
    reply_to_domains: frozenset[str] = frozenset()
    """Of the addresses in Reply-To; a subdomain is another domain."""
    messages_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal, what it may do and with which accounts (ids, or ``*`` for all)."""

    id: str
    kind: CallerKind
    name: str
    scopes: frozenset[Scope]
    accounts: frozenset[str]
    created_at: int
    secret_hash: str = ""
    expires_at: int | None = None
    revoked_at: int | None = None
    limits: SendLimits = SendLimits()

    def live(self, now: int) -> bool:
        """Whether the caller is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
