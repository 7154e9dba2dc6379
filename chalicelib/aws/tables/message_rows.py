"""Messages as rows, and back. An attempt's number follows from its place in the list, so it is not stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chalicelib import ids
from chalicelib.diagnosis import Diagnosis
from chalicelib.mail.models import (
    FIRST_KEPT,
    Attempt,
    Envelope,
    Message,
    OnUnknown,
    Phase,
    Recipient,
    Reply,
    State,
)
from chalicelib.mail.ports import Outcome

FIELDS = (
    *("account", "message", "caller", "state", "mail_from", "rcpt_to", "size", "message_id"),
    *(
        "accepted_at",
        "expires_at",
        "fingerprint",
        "on_unknown",
        "subject",
        "blob",
        "next_attempt_at",
        "claim",
        "attempts",
    ),
    *("left_out", "left_out_unknown", "recipients", "resolved_by", "cancelled_by", "cancelled_at"),
    "request_id",
)

RECIPIENTS_WORDS = 40_000
"""Octets of the words of all recipients' replies together: a row has at most 400 KB."""

DIGITS = 14
"""Digits of a time in the lists' keys: milliseconds up to the year 5138."""

GROUPS = {
    State.QUEUED: "open",
    State.SENDING: "open",
    State.COMMITTING: "open",
    State.DEFERRED: "open",
    State.UNKNOWN: "open",
    State.SENT: "sent",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
"""State → the group in which the lists have a message; it changes once for most of them, at their end."""

WITHOUT_BODY = {
    "ProjectionExpression": ", ".join(f"#{name}" for name in FIELDS),
    "ExpressionAttributeNames": {f"#{name}": name for name in FIELDS},
}
"""What a list needs of a row: all but the bytes. Names are placeholders, as some are reserved words."""


def to_row(message: Message) -> dict[str, Any]:
    """The row of a message."""
    return {
        "account": message.account,
        "message": message.id,
        "caller": message.caller,
        "state": message.state,
        "mail_from": message.envelope.mail_from,
        "rcpt_to": message.envelope.recipients,
        "size": message.size,
        "message_id": message.message_id,
        "accepted_at": message.accepted_at,
        "expires_at": message.expires_at,
        "fingerprint": message.fingerprint,
        "on_unknown": message.on_unknown,
        "subject": message.subject,
        "body": message.body,
        "blob": message.blob,
        "next_attempt_at": message.next_attempt_at,
        "claim": message.claim,
        "attempts": [attempt_row(attempt) for attempt in message.attempts],
        "recipients": recipient_rows(message.recipients),
        "resolved_by": message.resolved_by,
        "cancelled_by": message.cancelled_by,
        "cancelled_at": message.cancelled_at,
        "request_id": message.request_id,
        "listed_as": listed_as(message),
        "list_shard": ids.list_shard_of(message.id),
    }


def from_row(row: dict[str, Any]) -> Message:
    """The message of a row."""
    left_out = row.get("left_out", 0)
    return Message(
        id=row["message"],
        account=row["account"],
        caller=row["caller"],
        state=State(row["state"]),
        envelope=Envelope(row["mail_from"], tuple(row["rcpt_to"])),
        size=row["size"],
        message_id=row["message_id"],
        accepted_at=row["accepted_at"],
        expires_at=row["expires_at"],
        fingerprint=row["fingerprint"],
        on_unknown=OnUnknown(row["on_unknown"]),
        subject=row["subject"],
        body=row.get("body"),
        blob=row.get("blob"),
        next_attempt_at=row.get("next_attempt_at"),
        claim=row.get("claim"),
        attempts=tuple(
            _attempt(place + (left_out if place > FIRST_KEPT else 0), one)
            for place, one in enumerate(row["attempts"], start=1)
        ),
        left_out=left_out,
        left_out_unknown=row.get("left_out_unknown", False),
        recipients=tuple(_recipient(one) for one in row["recipients"]),
        resolved_by=row.get("resolved_by"),
        cancelled_by=row.get("cancelled_by"),
        cancelled_at=row.get("cancelled_at"),
        request_id=row.get("request_id"),
    )


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """An attempt inside its message's row."""
    return {
        "worker": attempt.worker,
        "began_at": attempt.began_at,
        "phase": attempt.phase,
        "ended_at": attempt.ended_at,
        "outcome": attempt.outcome,
        "transport": attempt.transport,
        "reply": _reply_row(attempt.reply),
        "diagnosis": attempt.diagnosis.to_json() if attempt.diagnosis else None,
    }


def recipient_rows(recipients: Sequence[Recipient]) -> list[dict[str, Any]]:
    """What became of each recipient, inside its message's row; the words of many replies share their room."""
    room = RECIPIENTS_WORDS // max(len(recipients), 1)
    return [
        {"address": one.address, "state": one.state, "reply": _reply_row(_cut(one.reply, room))}
        for one in recipients
    ]


def without_words(outcome: Outcome) -> Outcome:
    """The outcome without what servers said in so many words."""
    attempt = outcome.attempt
    diagnosis = replace(attempt.diagnosis, text="") if attempt.diagnosis else None
    return replace(
        outcome,
        attempt=replace(attempt, reply=_cut(attempt.reply, 0), diagnosis=diagnosis),
        recipients=tuple(replace(one, reply=_cut(one.reply, 0)) for one in outcome.recipients),
    )


def _cut(reply: Reply | None, octets: int) -> Reply | None:
    """The reply with so many octets of its text at most."""
    return replace(reply, text=reply.text.encode()[:octets].decode(errors="ignore")) if reply else None


def listed_as(message: Message, state: State | None = None) -> str:
    """Where the lists have a message: its group, when it was accepted, and the letters of its own id.

    `state` is the one that is written now, where that is not the message's own.
    """
    own = message.id[-ids.LONG :]
    return f"{GROUPS[state or message.state]}#{message.accepted_at:0{DIGITS}d}.{own}"


def _attempt(number: int, row: dict[str, Any]) -> Attempt:
    outcome, diagnosis = row.get("outcome"), row.get("diagnosis")
    return Attempt(
        number=number,
        worker=row["worker"],
        began_at=row["began_at"],
        phase=Phase(row["phase"]),
        ended_at=row.get("ended_at"),
        outcome=State(outcome) if outcome else None,
        transport=row["transport"],
        reply=_reply(row.get("reply")),
        diagnosis=Diagnosis.from_json(diagnosis) if diagnosis else None,
    )


def _recipient(row: dict[str, Any]) -> Recipient:
    return Recipient(row["address"], State(row["state"]), _reply(row.get("reply")))


def _reply_row(reply: Reply | None) -> dict[str, Any] | None:
    return {"code": reply.code, "enhanced": reply.enhanced, "text": reply.text} if reply else None


def _reply(row: dict[str, Any] | None) -> Reply | None:
    return Reply(row["code"], row["enhanced"], row["text"]) if row else None
