"""Messages on their way: states, attempts, envelopes, and the transitions between states.

::

    queued → sending → committing → sent | deferred | failed | unknown
    deferred → sending,  unknown → sending (on_unknown: resend),  unknown → sent (the late answer)
    queued | deferred | sending → cancelled,  unknown → sent | failed | queued    by a person

`held` is not a state: it is how a queued or deferred message is shown while its lane is closed.
All times are whole milliseconds since 1970 (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.clock import DAY
from chalicelib.diagnosis import Diagnosis


class State(StrEnum):
    """Where an outbox entry stands. "sent" means that the provider accepted it, no more."""

    QUEUED = "queued"
    """It waits for its first attempt."""
    SENDING = "sending"
    """An attempt is under way; no server has the whole message yet."""
    COMMITTING = "committing"
    """Its last bytes are on their way: it can no longer be stopped."""
    SENT = "sent"
    """The provider accepted it."""
    DEFERRED = "deferred"
    """It is tried again by itself."""
    FAILED = "failed"
    """It was given up; the last attempt says why."""
    UNKNOWN = "unknown"
    """The answer was lost: nobody knows whether the server took it."""
    CANCELLED = "cancelled"
    """A caller stopped it."""


FINAL = frozenset({State.SENT, State.FAILED, State.CANCELLED})
CLAIMABLE = frozenset({State.QUEUED, State.DEFERRED})
"""States from which an attempt may begin; `unknown` joins them where on_unknown is resend."""
CANCELLABLE = CLAIMABLE | {State.SENDING}
"""States in which no server can have the whole message of the running attempt, so that it can be stopped."""


class OnUnknown(StrEnum):
    """What to do with a message of which nobody knows whether the server took it."""

    RESEND = "resend"
    """Send the same bytes again; the record says that there may be two."""
    KEEP = "keep"
    """Wait until somebody resolves it."""


class Phase(StrEnum):
    """How far an attempt came; each is entered only after it was noted."""

    CLAIMED = "claimed"
    """A worker has taken it."""
    TOKEN = "token"  # noqa: S105 - the phase in which a token is fetched, not a token
    """An access token is fetched."""
    CONNECT = "connect"
    """The server is called."""
    STARTTLS = "starttls"
    """The connection is secured."""
    AUTH = "auth"
    """It signs in."""
    MAIL = "mail"
    """The sender is named."""
    RCPT = "rcpt"
    """The recipients are named."""
    DATA = "data"
    """The message is handed over."""
    COMMIT = "commit"
    """The final dot may have left: from here on a lost answer means `unknown`."""
    DONE = "done"
    """The server has answered to the whole message."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """MAIL FROM and RCPT TO (RFC 5321); never the same thing as the message's headers."""

    mail_from: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: SMTP code, enhanced code (may be empty) and text."""

    code: int
    enhanced: str
    text: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at relaying; append-only. `outcome` is the state that it ended in, None while it runs."""

    number: int
    worker: str
    began_at: int
    phase: Phase = Phase.CLAIMED
    ended_at: int | None = None
    outcome: State | None = None
    transport: str = "smtp"
    reply: Reply | None = None
    diagnosis: Diagnosis | None = None


KEPT = 30 * DAY
"""How long a message's record is kept after it was accepted. The bucket keeps long bodies a little longer."""

FIRST_KEPT, MOST_KEPT = 10, 50
"""How many attempts a row holds: the first ones, which show how it began, and the last ones.

A message whose account or server fails for days collects one attempt a visit, and a row has at most 400 KB.
"""


@dataclass(frozen=True, slots=True)
class Recipient:
    """What became of one RCPT: `sent`, `failed` (with the reply) or still `queued`.

    Of a cancelled message: `cancelled`, or `unknown` where an earlier attempt may have reached it.
    """

    address: str
    state: State
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An outbox entry: an accepted message with its envelope and its history.

    The bytes were frozen when it was accepted: `body` holds them where they are small, `blob` names
    the object that holds them otherwise. `fingerprint` is the digest of the request that made it, by
    which a reused idempotency key with other content is recognised. `next_attempt_at` is None when
    nothing is due any more; in `sending` and `committing` it is the end of the claim. Of more than MOST_KEPT
    attempts some after the first FIRST_KEPT are left out: `left_out` says how many, `left_out_unknown`
    whether the outcome of one of them was unknown. By `request_id`, that of the request that brought it, the
    log tells its whole way.
    """

    id: str
    account: str
    caller: str
    state: State
    envelope: Envelope
    size: int
    message_id: str
    accepted_at: int
    expires_at: int
    fingerprint: str
    on_unknown: OnUnknown = OnUnknown.RESEND
    subject: str = ""
    body: bytes | None = field(default=None, repr=False)
    blob: str | None = None
    next_attempt_at: int | None = None
    claim: str | None = None
    attempts: tuple[Attempt, ...] = ()
    left_out: int = 0
    left_out_unknown: bool = False
    recipients: tuple[Recipient, ...] = ()
    resolved_by: str | None = None
    cancelled_by: str | None = None
    cancelled_at: int | None = None
    request_id: str | None = None

    def to_whom(self) -> tuple[str, ...]:
        """The recipients that still wait: those of which no server has said yes or no."""
        if not self.recipients:
            return self.envelope.recipients
        return tuple(one.address for one in self.recipients if one.state is State.QUEUED)

    def perhaps_taken(self) -> bool:
        """Whether an attempt ended without anybody knowing if the server took the message."""
        return self.left_out_unknown or any(attempt.outcome is State.UNKNOWN for attempt in self.attempts)


class ClosedReason(StrEnum):
    """Why a lane is closed: nothing of it is relayed until the reason is gone."""

    NEEDS_RECONNECT = "needs_reconnect"
    """Its account waits for its owner."""
    MISCONFIGURED = "misconfigured"
    """The provider refuses the account's connector."""
    BLOCKED = "blocked"
    """The mail server does not take the account's mail."""
    PAUSED = "paused"
    """A caller paused the account."""
    DISCONNECTED = "disconnected"
    """Nobody's consent is there."""


PROBED = frozenset({ClosedReason.MISCONFIGURED, ClosedReason.BLOCKED})
"""Reasons that may go away without our being told, so that a closed lane tries one message now and then."""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """What is stored of a lane. All times are in milliseconds; None means "not".

    `opened_at` is when it was last opened, for whatever reason it had been closed.

    `rung` counts how often mail was announced; `served_at` is when a worker last tried to relay something.
    `slots` maps the number of each taken slot to the end of its lease. A closed lane may be probed from
    `probe_at` on; `probes` counts the closings in a row. A lane that rests (its server could not be reached,
    or asked for a pause) is not served before `rest_until`; `rests` counts them in a row.
    """

    account: str
    rung: int = 0
    next_due_at: int | None = None
    slots: tuple[tuple[int, int], ...] = ()
    closed: ClosedReason | None = None
    closed_at: int | None = None
    opened_at: int | None = None
    probe_at: int | None = None
    probes: int = 0
    served_at: int | None = None
    rest_until: int | None = None
    rests: int = 0

    def live_slots(self, now: int) -> int:
        """How many workers serve the lane at this moment."""
        return sum(1 for _, until in self.slots if until > now)

    def resting(self, now: int) -> bool:
        """Whether the lane waits for its server."""
        return self.rest_until is not None and self.rest_until > now

    def could_go_since(self, due_at: int, now: int) -> int | None:
        """Since when mail that was due then could go; None while it is held, or waits for its server."""
        if self.closed is not None or self.resting(now):
            return None
        return max(due_at, self.opened_at or 0, self.rest_until or 0)

    def probe_due(self, now: int) -> bool:
        """Whether the closed lane may try one message."""
        return self.closed in PROBED and self.probe_at is not None and self.probe_at <= now


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker's place in a lane, held until `until`, with what it saw last of the row.

    `rung`, `rests` and `seen_served_at` are from the row. `served_at` is when this worker last tried to relay
    something, None while it has not. `probe` says that the lane is closed.
    """

    account: str
    number: int
    owner: str
    until: int
    rung: int
    rests: int = 0
    seen_served_at: int | None = None
    served_at: int | None = None
    probe: bool = False

    def last_served_at(self) -> int | None:
        """When the lane was last served, by this worker or by others."""
        return max((at for at in (self.served_at, self.seen_served_at) if at is not None), default=None)
