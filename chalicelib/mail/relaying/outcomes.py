"""How an attempt ends, as pure functions: what the server said becomes the message's next state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chalicelib.clock import MINUTE
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import MailgrantError
from chalicelib.mail.models import ClosedReason, Message, OnUnknown, Phase, Recipient, Reply, State
from chalicelib.mail.ports import Outcome
from chalicelib.mail.relaying import schedule

RESEND_AFTER = MINUTE
"""How long a message of unknown outcome waits at least for a late answer before it is sent again."""

NOBODY_KNOWS = Diagnosis(
    DiagnosisClass.RETRY,
    "outcome_unknown",
    "The connection was lost before the server said whether it took the message.",
    "Nothing, unless on_unknown is keep: then look into the mailbox and resolve the message.",
)

WORKER_LOST = Diagnosis(
    DiagnosisClass.RETRY,
    "worker_lost",
    "The worker stopped while the server may already have had the whole message.",
    "Nothing, unless on_unknown is keep: then look into the mailbox and resolve the message.",
)

TOO_SLOW = Diagnosis(
    DiagnosisClass.RETRY,
    "smtp_too_slow",
    "Handing the message over took so long that there was no time left to wait for the server's last answer.",
    "Nothing: it is tried again by itself. If it stays, send it to fewer recipients at a time.",
)

BODY_GONE = Diagnosis(
    DiagnosisClass.ADMIN,
    "body_gone",
    "The message's bytes are no longer in the bucket.",
    "Send the message again, and find out who deletes objects of the bucket.",
)

ACCOUNT_GONE = Diagnosis(
    DiagnosisClass.ADMIN,
    "account_gone",
    "The account, or the connector that it was connected by, no longer exists.",
    "Send the message by another account.",
)

EXPIRED = Diagnosis(
    DiagnosisClass.CALLER,
    "expired",
    "The message was not accepted before it expired.",
    "Mend what the earlier attempts or the account show, then send it again.",
)

_HELD = {
    ClosedReason.NEEDS_RECONNECT: (
        "while its account waited for its owner to connect it again",
        "The owner opens the connect link; POST /v1/accounts/{id}/connect-link makes a new one.",
    ),
    ClosedReason.MISCONFIGURED: (
        "while its account could not be used for want of a right setting",
        "An administrator mends what the account shows.",
    ),
    ClosedReason.BLOCKED: (
        "while the mail server did not take its account's mail",
        "An administrator mends what the account shows.",
    ),
    ClosedReason.PAUSED: ("while its account was paused", "Whoever paused the account lets it go on."),
    ClosedReason.DISCONNECTED: (
        "while its account was disconnected",
        "To send from it again, make a new connect link for its owner.",
    ),
}

NOT_PERMITTED = Diagnosis(
    DiagnosisClass.CALLER,
    "caller_not_permitted",
    "The caller that handed the message in may no longer send as this account.",
    "Give the caller the account again, then send the message again.",
)


_UNSEEN = frozenset({Phase.TOKEN, Phase.CONNECT, Phase.STARTTLS, Phase.AUTH})

Refusals = Mapping[str, tuple[Reply, bool]]
"""Refused recipients: what the server said, and whether that passes by itself."""

NONE_REFUSED: Refusals = {}


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt came to its end: how far it was, when (ms), and what was said."""

    phase: Phase
    at: int
    diagnosis: Diagnosis | None = None
    reply: Reply | None = None


def not_allowed(error: MailgrantError) -> Diagnosis:
    """The caller's limits do not allow the message any more."""
    return Diagnosis(DiagnosisClass.CALLER, error.error_code, error.message, error.fix)


def expired_held(reason: ClosedReason) -> Diagnosis:
    """Why a message expired whose lane is closed."""
    why, fix = _HELD[reason]
    return replace(EXPIRED, message=f"The message expired {why}.", fix=f"{fix} Then send the message again.")


def accepted(message: Message, reply: Reply, now: int, refused: Refusals) -> Outcome:
    """The server took the message for all recipients but the refused ones."""
    ending = Ending(Phase.DONE, now, reply=reply)
    recipients = _recipients(message, refused, State.SENT)
    if any(one.state is State.QUEUED for one in recipients):
        due_at = schedule.next_attempt(message, schedule.spent(message) + 1, now)
        return _outcome(message, ending, State.DEFERRED, recipients, due_at)
    return _outcome(message, ending, State.SENT, recipients)


def unknown(message: Message, now: int, diagnosis: Diagnosis = NOBODY_KNOWS) -> Outcome:
    """Nobody knows; sent again after a while, or kept until somebody says.

    The waits grow as for any other attempt: a server that never answers must not hand out a copy a minute.
    """
    due_at = None
    if message.on_unknown is OnUnknown.RESEND:
        due_at = max(now + RESEND_AFTER, schedule.next_attempt(message, schedule.spent(message) + 1, now))
    return _outcome(message, Ending(Phase.COMMIT, now, diagnosis), State.UNKNOWN, message.recipients, due_at)


def put_back(message: Message, ending: Ending) -> Outcome:
    """The account or the way to its server is at fault: due at once, as soon as the lane is served again.

    What no server has seen keeps its place, so that held mail goes in the order in which it came. What a
    server has seen goes behind the others: it might be what stops them.
    """
    due_at = message.accepted_at if ending.phase in _UNSEEN else ending.at
    return _outcome(message, ending, State.DEFERRED, message.recipients, due_at)


def deferred(message: Message, ending: Ending, refused: Refusals = NONE_REFUSED) -> Outcome:
    """Tried again later, for the recipients that are left."""
    tried = schedule.spent(message) + (ending.phase in schedule.ABOUT_THE_MESSAGE)
    retry_after = ending.diagnosis.retry_after if ending.diagnosis else None
    due_at = schedule.next_attempt(message, tried, ending.at, retry_after=retry_after)
    return _outcome(message, ending, State.DEFERRED, _recipients(message, refused, State.QUEUED), due_at)


def given_up(message: Message, ending: Ending, refused: Refusals = NONE_REFUSED) -> Outcome:
    """Nothing more is tried. That is a failure only if no attempt can have reached anybody."""
    recipients = _recipients(message, refused, State.FAILED)
    state = State.FAILED
    if any(one.state is State.SENT for one in recipients):
        state = State.SENT
    elif message.perhaps_taken():
        state, recipients = State.UNKNOWN, _recipients(message, refused, State.QUEUED)
    outcome = _outcome(message, ending, state, recipients)
    # What this attempt came to is not what became of the message by earlier ones.
    return replace(outcome, attempt=replace(outcome.attempt, outcome=State.FAILED))


def resolved(message: Message, state: State) -> tuple[Recipient, ...]:
    """The recipients after a person has said what became of a message that was `unknown`.

    One that is to be sent again (`queued`) goes to all that have not got it for certain, also to those that a
    server has refused.
    """
    if state is not State.QUEUED:
        return _recipients(message, NONE_REFUSED, state)
    known = _recipients(message, NONE_REFUSED, State.QUEUED)
    return tuple(one if one.state is State.SENT else Recipient(one.address, state) for one in known)


def cancelled(message: Message) -> tuple[Recipient, ...]:
    """The recipients of a message that is stopped: those that wait get no copy any more.

    If an earlier attempt may have reached them, that stays what is known of them.
    """
    waiting = State.UNKNOWN if message.perhaps_taken() else State.CANCELLED
    return _recipients(message, NONE_REFUSED, waiting)


def _recipients(message: Message, refused: Refusals, others: State) -> tuple[Recipient, ...]:
    """Every recipient: settled ones as they were, refused ones with their reply, the others as given."""
    known = message.recipients or tuple(Recipient(to, State.QUEUED) for to in message.envelope.recipients)
    return tuple(one if one.state is not State.QUEUED else _recipient(one, refused, others) for one in known)


def _recipient(one: Recipient, refused: Refusals, others: State) -> Recipient:
    if one.address not in refused:
        return replace(one, state=others)
    reply, passes = refused[one.address]
    return Recipient(
        one.address, State.QUEUED if passes and others is not State.FAILED else State.FAILED, reply
    )


def _outcome(
    message: Message,
    ending: Ending,
    state: State,
    recipients: tuple[Recipient, ...],
    due_at: int | None = None,
) -> Outcome:
    attempt = replace(
        message.attempts[-1],
        phase=ending.phase,
        ended_at=ending.at,
        outcome=state,
        reply=ending.reply,
        diagnosis=ending.diagnosis,
    )
    return Outcome(state, attempt, due_at, recipients)
