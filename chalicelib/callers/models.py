"""Callers: the principals that may use some accounts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ALL_ACCOUNTS = "*"


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

    def live(self, now: int) -> bool:
        """Whether the caller is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
