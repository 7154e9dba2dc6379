"""How an attempt ends, as pure functions: what the server said becomes the message's next state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.clock import MINUTE
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.mail import schedule
from chalicelib.mail.models import Message, OnUnknown, Phase, Recipient, Reply, State
from chalicelib.mail.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

RESEND_AFTER = MINUTE
"""How long a message of unknown outcome waits for a late answer before it is sent again."""

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

EXPIRED = Diagnosis(
    DiagnosisClass.CALLER,
    "expired",
    "The message was not accepted before it expired.",
    "Mend what the earlier attempts or the account show, then send it again.",
)

NOT_PERMITTED = Diagnosis(
    DiagnosisClass.CALLER,
    "caller_not_permitted",
    "The caller that handed the message in may no longer send as this account.",
    "Give the caller the account again, then send the message again.",
)


def accepted(message: Message, reply: Reply, refused: Mapping[str, tuple[Reply, bool]], now: int) -> Outcome:
    """The server took the message for all recipients but the refused ones; the flag says if that may pass."""
    recipients = _recipients(message, refused, State.SENT)
    if any(one.state is State.QUEUED for one in recipients):
        tried = schedule.spent(message) + 1
        due_at = schedule.next_attempt(message, tried, now)
        return _outcome(message, State.DEFERRED, now, Phase.DONE, reply, None, due_at, recipients)
    return _outcome(message, State.SENT, now, Phase.DONE, reply, None, None, recipients)


def unknown(message: Message, now: int, diagnosis: Diagnosis = NOBODY_KNOWS) -> Outcome:
    """Nobody knows; sent again after a while, or kept until somebody says."""
    due_at = now + RESEND_AFTER if message.on_unknown is OnUnknown.RESEND else None
    return _outcome(message, State.UNKNOWN, now, Phase.COMMIT, None, diagnosis, due_at, message.recipients)


def put_back(message: Message, phase: Phase, diagnosis: Diagnosis, reply: Reply | None, now: int) -> Outcome:
    """The account or the way to its server is at fault: due at once, as soon as the lane is served again."""
    return _outcome(message, State.DEFERRED, now, phase, reply, diagnosis, now, message.recipients)


def deferred(
    message: Message,
    phase: Phase,
    diagnosis: Diagnosis,
    reply: Reply | None,
    now: int,
    refused: Mapping[str, tuple[Reply, bool]],
) -> Outcome:
    """Tried again later, for the recipients that are left."""
    recipients = _recipients(message, refused, State.QUEUED)
    tried = schedule.spent(message) + (1 if phase in schedule.ABOUT_THE_MESSAGE else 0)
    due_at = schedule.next_attempt(message, tried, now, retry_after=diagnosis.retry_after)
    return _outcome(message, State.DEFERRED, now, phase, reply, diagnosis, due_at, recipients)


def given_up(
    message: Message,
    phase: Phase,
    diagnosis: Diagnosis,
    reply: Reply | None,
    now: int,
    refused: Mapping[str, tuple[Reply, bool]],
) -> Outcome:
    """Nothing more is tried. That is a failure only if no attempt can have reached anybody."""
    recipients = _recipients(message, refused, State.FAILED)
    if any(one.state is State.SENT for one in recipients):
        state = State.SENT
    else:
        state = State.UNKNOWN if message.perhaps_taken() else State.FAILED
    return _outcome(message, state, now, phase, reply, diagnosis, None, recipients)


def _recipients(
    message: Message, refused: Mapping[str, tuple[Reply, bool]], others: State
) -> tuple[Recipient, ...]:
    """Every recipient: settled ones as they were, refused ones with their reply, the others as given."""
    known = message.recipients or tuple(Recipient(to, State.QUEUED) for to in message.envelope.recipients)
    return tuple(one if one.state is not State.QUEUED else _recipient(one, refused, others) for one in known)


def _recipient(one: Recipient, refused: Mapping[str, tuple[Reply, bool]], others: State) -> Recipient:
    if one.address not in refused:
        return replace(one, state=others)
    reply, passes = refused[one.address]
    return Recipient(
        one.address, State.QUEUED if passes and others is not State.FAILED else State.FAILED, reply
    )


def _outcome(
    message: Message,
    state: State,
    now: int,
    phase: Phase,
    reply: Reply | None,
    diagnosis: Diagnosis | None,
    due_at: int | None,
    recipients: tuple[Recipient, ...],
) -> Outcome:
    attempt = replace(
        message.attempts[-1], phase=phase, ended_at=now, outcome=state, reply=reply, diagnosis=diagnosis
    )
    return Outcome(state, attempt, due_at, recipients)
