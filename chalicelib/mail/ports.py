"""What the mail side is handed: stores, queues, mailboxes and transports, as it needs them.

`aws` implements the stores; `wiring` hands them in. Every write that may race is conditional, and answers
whether it was done instead of raising. Each of them raises Unavailable when AWS does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chalicelib.accounts.models.account import Account
from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import AccessToken
from chalicelib.callers.models import Caller, Scope
from chalicelib.diagnosis import Diagnosis
from chalicelib.mail.models import (
    Attempt,
    ClosedReason,
    Envelope,
    LaneRow,
    Message,
    Recipient,
    Reply,
    Slot,
    State,
)
from chalicelib.secret import Secret

Mailbox = tuple[Account, Connector]

FindMailbox = Callable[[str], Mailbox]
"""Gives the account with that id or unique name, and its connector; raises NotFound."""

Require = Callable[[Caller, Scope, str], None]
"""Returns when the caller may use the scope on the account; raises NotFound or Forbidden."""

Permitted = Callable[[str, str], Caller | None]
"""Gives the caller (by its id), if it may still send as the account (an id)."""

SetTransportBlock = Callable[[str, Diagnosis | None], None]
"""Writes, or removes, the fact that the mail server does not take the account's mail."""


class FreshToken(Protocol):
    """Gives an access token; raises Diagnosed when there is none to be had, Unavailable when unsure."""

    def __call__(
        self, account: str, *, failed_version: int | None = None, ends_at: int | None = None
    ) -> AccessToken:
        """`failed_version` names the token that a server has refused; a newer one is returned then.

        `ends_at` is when the newest token ends, as far as the account tells.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message to a provider may be: recipients, and bytes as they go over the wire."""

    recipients: int = 500
    size: int = 25 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `next_attempt_at` is None when nothing is due any more."""

    state: State
    attempt: Attempt
    next_attempt_at: int | None = None
    recipients: tuple[Recipient, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says of a message of unknown outcome, who says it, and what that makes of its recipients.

    `due_at` is when it is sent again, None where it is not; `ttl` is how long the row is kept from now on, in
    seconds since 1970.
    """

    state: State
    by: str
    recipients: tuple[Recipient, ...]
    expires_at: int
    ttl: int
    due_at: int | None = None


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Who stops a message and when (ms), and what that makes of its recipients."""

    by: str
    at: int
    recipients: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim came to: the row with the new attempt if done, the row that was there if not."""

    done: bool
    row: Message | None


@dataclass(frozen=True, slots=True)
class Sought:
    """Which messages are listed: of which accounts (their ids; None: all), and in which states.

    `caller` is who handed them in, None for anybody. They were accepted at `since` or later, and before
    `until`, in ms.
    """

    accounts: frozenset[str] | None
    states: frozenset[State]
    caller: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, newest first, and the place to go on after (None at the end); it names no message."""

    messages: tuple[Message, ...]
    place: str | None


class Messages(Protocol):
    """The outbox: one row a message, found by account and id. Reads are consistent."""

    def add(self, message: Message, *, ttl: int) -> Message | None:
        """Writes a new row, or returns the stored one with this id. `ttl`: seconds since 1970."""

    def get(self, account: str, message: str) -> Message | None:
        """The row, or None."""

    def due(self, account: str, now: int, limit: int) -> list[str]:
        """The ids of what is due, the longest due first."""

    def next_due(self, account: str) -> int | None:
        """When the account's next message is due; None when nothing waits."""

    def waiting(self, account: str, limit: int) -> list[Message]:
        """Messages with something due some time, without their bodies, the longest due first."""

    def claim(self, account: str, message: str, *, worker: str, now: int, until: int) -> Claimed:
        """Begins an attempt: due and claimable → `sending`, held by the worker until `until`.

        Not done when somebody else has it, when nothing of it is due, or when its last worker died in
        `committing`; `sending` whose claim has ended is claimed, since its final dot was never written.
        """

    def commit(self, message: Message, *, until: int) -> bool:
        """`sending` → `committing`, and the claim renewed; False when the claim is no longer ours."""

    def finish(self, message: Message, outcome: Outcome) -> bool:
        """Writes how the claimed attempt ended; False when somebody else began a newer one."""

    def resolve(self, message: Message, word: Word) -> bool:
        """`unknown` → what a person says; False when the message is not `unknown` now."""

    def cancel(self, message: Message, cancellation: Cancellation) -> bool:
        """`queued`, `deferred` or `sending` → `cancelled`, and nothing of it is due any more.

        False when the stored message is no longer in the state and the attempt in which it was seen. A worker
        whose attempt is cancelled can neither commit nor finish it.
        """


class MessageLists(Protocol):
    """Lists of messages."""

    def page(self, sought: Sought, limit: int, after: str | None) -> Page:
        """Messages without their bodies, newest first; `after` is the place of a page before.

        A page may be short, and even empty, and say where to go on. Where more than some accounts are sought,
        one that was accepted or changed a moment ago may be missing. Raises InvalidInput for a bad place.
        """


@dataclass(frozen=True, slots=True)
class Written:
    """What a conditional write of a lane came to: the new row if done, the row that was there if not."""

    done: bool
    row: LaneRow | None


class Lanes(Protocol):
    """The lanes: one row for each account that has had mail."""

    @property
    def shards(self) -> tuple[str, ...]:
        """The partitions of the lanes that are due."""

    def get(self, account: str) -> LaneRow | None:
        """The row, read consistently."""

    def ring(self, account: str, *, due_at: int) -> Written:
        """Counts one ring and makes the lane due; not done while it is closed."""

    def hold(self, row: LaneRow, *, due_at: int) -> Written:
        """Counts one ring of a closed lane, due at that time; not done if it was opened or put off since."""

    def take(self, account: str, number: int, *, owner: str, now: int, until: int) -> Written:
        """Takes a free slot of a lane that is due before `until` and neither is closed nor rests."""

    def take_probe(self, account: str, number: int, *, owner: str, now: int, until: int) -> Written:
        """Takes a free slot of a closed lane whose probe is due, and puts its next probe off to `until`."""

    def extend(self, account: str, number: int, *, owner: str, until: int) -> Written:
        """Renews the lease; not done when another worker has the slot."""

    def give_back(self, slot: Slot, *, due_at: int | None) -> Written:
        """Frees the slot if nobody has rung or served since the row was seen, and ends every rest."""

    def leave(self, slot: Slot, *, due_at: int | None) -> Written:
        """Frees the slot whatever was rung; `due_at` None leaves the due time as it is."""

    def rest(self, slot: Slot, *, until: int, rests: int) -> Written:
        """Frees the slot and lets the lane rest until then, for that many times in a row."""

    def close(self, account: str, reason: ClosedReason, *, now: int, probe_at: int | None) -> None:
        """Closes the lane, or closes it again for the reason, due now; nothing if there is no lane."""

    def open(self, account: str, *, now: int) -> Written:
        """Opens the lane, ends its rest, counts one ring and makes it due; not done if there is no lane."""

    def put_off(self, row: LaneRow, *, due_at: int | None) -> Written:
        """Replaces the due time; not done if it is another than in the row, or somebody has rung since."""

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """The accounts of one shard whose lanes are due, the longest due first. Reads an index: may lag."""


class Blobs(Protocol):
    """Message bytes that are too long for a row."""

    def put(self, key: str, data: bytes) -> None:
        """Writes the object."""

    def get(self, key: str) -> bytes | None:
        """Reads the object; None when it is gone."""


class Wakeups(Protocol):
    """Wakes the relay."""

    def wake(self, account: str, message: str | None = None, *, ring: bool = False) -> None:
        """Asks for the account's mail to be relayed soon; a hint that may get lost or come twice.

        `ring` says that the lane could not be rung for the message: who takes the hint rings first.
        """


class Session(Protocol):
    """One connection to a mail server, for several messages of one account. It fails with Refused."""

    sent: int
    """How many messages this connection has carried."""

    def allow(self, seconds: float) -> None:
        """Bounds the time of all that follows together, but for the answer to the end of a message."""

    def connect(self) -> None:
        """Connects and secures the connection; closes it if that fails."""

    def authenticate(self, token: Secret) -> None:
        """Proves who sends; closes the connection if that fails."""

    def transfer(self, envelope: Envelope, body: bytes) -> dict[str, Reply]:
        """Hands over everything but the very end; returns the refused recipients, with the replies."""

    def commit(self) -> Reply:
        """Writes the end and waits for the answer: from the first byte on the server may have the message."""

    def quit(self) -> None:
        """Takes leave; never fails."""

    def drop(self) -> None:
        """Cuts the connection at once, so that an unfinished message is discarded; never fails."""


OpenSession = Callable[[Account, Connector], Session]
"""A session that is not connected yet, to the server of the account's provider."""
