"""A message's record as callers see it; never its body."""

from __future__ import annotations

from typing import Any

from chalicelib.clock import shown
from chalicelib.mail.models import CLAIMABLE, Attempt, Message, Recipient, Reply, State


def message_record(message: Message, *, held: bool) -> dict[str, Any]:
    """The record as JSON; `held` says that the account's lane is closed. Times are RFC 3339."""
    return {
        "id": message.id,
        "account": message.account,
        "caller": message.caller,
        "state": "held" if held and message.state in CLAIMABLE else str(message.state),
        "accepted_at": shown(message.accepted_at),
        "expires_at": shown(message.expires_at),
        "next_attempt_at": shown(message.next_attempt_at),
        "envelope": {
            "mail_from": message.envelope.mail_from,
            "recipients": list(message.envelope.recipients),
        },
        "subject": message.subject,
        "message_id": message.message_id,
        "request_id": message.request_id,
        "size": message.size,
        "on_unknown": str(message.on_unknown),
        "may_be_duplicate": may_be_duplicate(message),
        "resolved_by": message.resolved_by,
        "cancelled_by": message.cancelled_by,
        "cancelled_at": shown(message.cancelled_at),
        "recipients": [_recipient(one) for one in message.recipients],
        "attempts_left_out": message.left_out,
        "attempts": [_attempt(attempt, last=attempt is message.attempts[-1]) for attempt in message.attempts],
    }


def may_be_duplicate(message: Message) -> bool:
    """Whether an attempt was begun after one of which nobody knows how it ended."""
    begun_after = message.attempts[:-1]
    return message.left_out_unknown or any(attempt.outcome is State.UNKNOWN for attempt in begun_after)


def _attempt(attempt: Attempt, *, last: bool) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "began_at": shown(attempt.began_at),
        "ended_at": shown(attempt.ended_at),
        "transport": attempt.transport,
        "phase": str(attempt.phase),
        "outcome": _outcome(attempt, last=last),
        "reply": _reply(attempt.reply),
        "diagnosis": attempt.diagnosis.to_json() if attempt.diagnosis else None,
    }


def _outcome(attempt: Attempt, *, last: bool) -> str | None:
    """An attempt without an end that others followed was abandoned by its worker before the final dot."""
    if attempt.outcome is not None:
        return str(attempt.outcome)
    return None if last else "abandoned"


def _recipient(recipient: Recipient) -> dict[str, Any]:
    return {
        "address": recipient.address,
        "state": str(recipient.state),
        "reply": _reply(recipient.reply),
    }


def _reply(reply: Reply | None) -> dict[str, Any] | None:
    return {"code": reply.code, "enhanced": reply.enhanced, "text": reply.text} if reply else None
