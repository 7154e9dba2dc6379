"""Connect links, the sign-ins that wait for their callback, and visits of mailbox owners."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """A link by which a mailbox owner connects one account; `id` is derived from its secret token."""

    id: str
    account: str
    invited_by: str
    created_at: int
    expires_at: int
    starts: int = 0
    used_at: int | None = None


class Purpose(StrEnum):
    """What a sign-in is begun for."""

    CONNECT = "connect"
    VISIT = "visit"
    """A mailbox owner wants to see what is connected: a proof of identity, without any mail scope."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """One `state` that waits for its callback. Used once; `flow` (ciphertext) is removed by its use.

    `cookie_hash` binds it to the browser that began it. `outcome` is what became of it, for its result page.
    `link` is the connect link that it was begun with and `asked_by` who made that; a visit has neither.
    """

    id: str
    account: str
    connector: str
    link: str
    cookie_hash: str
    redirect_uri: str
    created_at: int
    expires_at: int
    flow: bytes | None = field(default=None, repr=False)
    used_at: int | None = None
    outcome: Mapping[str, Any] | None = None
    purpose: Purpose = Purpose.CONNECT
    asked_by: str = ""

    def is_open(self, now: int) -> bool:
        """Whether its callback may still come (`now` in ms)."""
        return self.used_at is None and self.expires_at > now


@dataclass(frozen=True, slots=True)
class Visit:
    """A mailbox owner's short stay at the account's own page; `id` is derived from its secret token."""

    id: str
    account: str
    created_at: int
    expires_at: int
