"""A message's record as callers see it; never its body."""

from __future__ import annotations

from typing import cast

from chalicelib.clock import shown, shown_at
from chalicelib.mail import records
from chalicelib.mail.models import CLAIMABLE, Attempt, Message, Recipient, Reply, State
from chalicelib.records import diagnosis


def message_record(message: Message, *, held: bool) -> records.Message:
    """The record; `held` says that the account's lane is closed."""
    return records.Message(
        id=message.id,
        account=message.account,
        caller=message.caller,
        state=shown_state(message, held=held),
        accepted_at=shown_at(message.accepted_at),
        expires_at=shown_at(message.expires_at),
        next_attempt_at=shown(message.next_attempt_at),
        envelope=records.Envelope(
            mail_from=message.envelope.mail_from, recipients=list(message.envelope.recipients)
        ),
        subject=message.subject,
        message_id=message.message_id,
        request_id=message.request_id,
        size=message.size,
        on_unknown=message.on_unknown,
        may_be_duplicate=may_be_duplicate(message),
        resolved_by=message.resolved_by,
        cancelled_by=message.cancelled_by,
        cancelled_at=shown(message.cancelled_at),
        recipients=[_recipient(one) for one in message.recipients],
        attempts_left_out=message.left_out,
        attempts=[_attempt(attempt, last=attempt is message.attempts[-1]) for attempt in message.attempts],
    )


def shown_state(message: Message, *, held: bool) -> records.ShownState:
    """The state that callers see; `held` says that the account's lane is closed."""
    return "held" if held and message.state in CLAIMABLE else message.state.value


def may_be_duplicate(message: Message) -> bool:
    """Whether an attempt was begun after one of which nobody knows how it ended."""
    begun_after = message.attempts[:-1]
    return message.left_out_unknown or any(attempt.outcome is State.UNKNOWN for attempt in begun_after)


def _attempt(attempt: Attempt, *, last: bool) -> records.Attempt:
    return records.Attempt(
        number=attempt.number,
        began_at=shown_at(attempt.began_at),
        ended_at=shown(attempt.ended_at),
        transport=attempt.transport,
        phase=attempt.phase,
        outcome=_outcome(attempt, last=last),
        reply=_reply(attempt.reply),
        diagnosis=diagnosis(attempt.diagnosis),
    )


def _outcome(attempt: Attempt, *, last: bool) -> records.AttemptOutcome | None:
    """An attempt without an end that others followed was abandoned by its worker before the final dot."""
    if attempt.outcome is not None:
        return cast("records.AttemptOutcome", attempt.outcome.value)  # it ends in no other state
    return None if last else "abandoned"


def _recipient(recipient: Recipient) -> records.Recipient:
    return records.Recipient(address=recipient.address, state=recipient.state, reply=_reply(recipient.reply))


def _reply(reply: Reply | None) -> records.Reply | None:
    return records.Reply(code=reply.code, enhanced=reply.enhanced, text=reply.text) if reply else None
