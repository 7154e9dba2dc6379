"""Messages as callers are shown them: types only; shown.py fills them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from chalicelib.mail.models import OnUnknown, Phase, State
from chalicelib.records import AccountId, CallerId, Diagnosis, MessageId, Record, Time, says

ShownState = Literal[
    "queued", "held", "sending", "committing", "sent", "deferred", "failed", "unknown", "cancelled"
]
"""The states, and `held`: how a message that waits is shown while its account cannot send."""

AttemptOutcome = Literal["sent", "deferred", "failed", "unknown", "cancelled", "abandoned"]


class Accepted(Record, frozen=True):
    """A message that was taken over."""

    id: MessageId
    state: Annotated[State, says("Where it stands; `queued` for a new one.")]
    replayed: Annotated[
        bool | UnsetType, says("True where the idempotency key was used before, for the same request.")
    ] = UNSET


class Reply(Record, frozen=True):
    """What a mail server answered."""

    code: Annotated[int, says("The SMTP code, such as 250.")]
    enhanced: Annotated[str, says("The enhanced code, such as `5.7.139`, or nothing.")]
    text: str


class Recipient(Record, frozen=True):
    """What became of one recipient."""

    address: str
    state: Annotated[
        State, says("`sent`, `failed` or still `queued`; `cancelled` or `unknown` if it was cancelled.")
    ]
    reply: Annotated[Reply | None, says("What the server said to it.")]


class Envelope(Record, frozen=True):
    """From whom and to whom the servers hand it on (RFC 5321)."""

    mail_from: str
    recipients: list[str]


class Attempt(Record, frozen=True):
    """One try at relaying."""

    number: Annotated[int, says("1 for the first.")]
    began_at: Time
    ended_at: Annotated[Time | None, says("Null while it runs.")]
    transport: Annotated[str, says("`smtp`.")]
    phase: Annotated[Phase, says("How far it came.")]
    outcome: Annotated[
        AttemptOutcome | None,
        says(
            "How it ended; `abandoned` where its worker was lost before the last bytes. Null while it runs."
        ),
    ]
    reply: Annotated[Reply | None, says("The server's last word.")]
    diagnosis: Annotated[Diagnosis | None, says("What is wrong, and how to mend it.")]


class Message(Record, frozen=True):
    """A message's record; never its body. It is kept for 30 days."""

    id: MessageId
    account: AccountId
    caller: Annotated[CallerId, says("Who handed it in.")]
    state: Annotated[ShownState, says("Where it stands; `held` while it waits and its account cannot send.")]
    accepted_at: Time
    expires_at: Annotated[Time, says("When it is given up.")]
    next_attempt_at: Annotated[Time | None, says("When it is tried next; null when nothing is due.")]
    envelope: Envelope
    subject: str
    message_id: Annotated[str, says("The header Message-ID.")]
    request_id: Annotated[
        str | None, says("The id of the request that brought it, by which the log tells its whole way.")
    ]
    size: Annotated[int, says("Bytes of the whole message.")]
    on_unknown: Annotated[OnUnknown, says("What happens when nobody knows whether the server took it.")]
    may_be_duplicate: Annotated[
        bool, says("An attempt was begun after one of which nobody knows how it ended.")
    ]
    resolved_by: Annotated[CallerId | None, says("Who settled an unknown outcome.")]
    cancelled_by: Annotated[CallerId | None, says("Who cancelled it.")]
    cancelled_at: Time | None
    recipients: Annotated[list[Recipient], says("Recipients of which something is known; else empty.")]
    attempts_left_out: Annotated[int, says("How many attempts in the middle are not shown.")]
    attempts: Annotated[list[Attempt], says("The oldest first.")]


class MessagePage(Record, frozen=True):
    """A page of messages, the newest first."""

    messages: list[Message]
    cursor: Annotated[str | None, says("For the next page; null on the last.")]
