"""The table of messages: one row each, found by account and id, and by when something of it is due.

A row is in the index ``by_next_attempt`` while something is due some time. In `sending` and `committing` that
time is the end of the claim, so that the look that finds work also finds the work of a worker that died.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from chalicelib.aws.failures import ConditionFailed, TooLargeToStore, translated
from chalicelib.aws.tables import message_rows
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.aws.tables.message_rows import from_row, to_row
from chalicelib.aws.tables.table import BATCH, read_some
from chalicelib.errors import Conflict
from chalicelib.mail.models import (
    CANCELLABLE,
    CLAIMABLE,
    FIRST_KEPT,
    MOST_KEPT,
    Attempt,
    Message,
    OnUnknown,
    State,
)
from chalicelib.mail.ports import Cancellation, Claimed, Outcome, Word

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WHAT = "The table of messages"

NONCE = 8
"""Bytes of chance by which a put knows its own row."""

DUE = "by_next_attempt"

RESERVED = ("#state", "#ttl")
"""Attributes whose names are words of DynamoDB's own."""

CLAIM = (
    "SET #state = :sending, claim = :worker, next_attempt_at = :until,"
    " attempts = list_append(attempts, :attempt)"
)

CLAIM_IF = (
    "next_attempt_at <= :now AND (#state IN (:queued, :deferred, :sending)"
    " OR (#state = :unknown AND on_unknown = :resend))"
)
"""`sending` is in it because a claim that has ended belongs to nobody: the dot was not written."""


class MessagesTable:
    """Implements mail.ports.Messages."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def add(self, message: Message, *, ttl: int) -> Message | None:
        """A conditional put: the one place where an idempotency key becomes one message.

        The client repeats a put whose answer was lost, which then meets its own row: `nonce` tells that.
        """
        nonce = secrets.token_hex(NONCE)
        try:
            with translated(WHAT):
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item({**to_row(message), "ttl": ttl, "nonce": nonce}),
                    ConditionExpression="attribute_not_exists(message)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except TooLargeToStore as error:
            raise Conflict(
                "The account has as many messages as one account can have: 10 GB with those of 30 days.",
                fix="Send by another account, or send less: messages end 30 days after they were accepted.",
                field="account",
                code="outbox_full",
            ) from error
        except ConditionFailed as failed:
            row = from_item(failed.item or {})
            return None if row.get("nonce") == nonce else from_row(row)
        return None

    def get(self, account: str, message: str) -> Message | None:
        """The row, or None."""
        with translated(WHAT):
            found = self._client.get_item(
                TableName=self._table, Key=_key(account, message), ConsistentRead=True
            )
        return from_row(from_item(found["Item"])) if "Item" in found else None

    def due(self, account: str, now: int, limit: int) -> list[str]:
        """The ids of what is due, the longest due first."""
        rows = self._by_due(account, limit, "account = :account AND next_attempt_at <= :now", {":now": now})
        return [row["message"] for row in rows]

    def next_due(self, account: str) -> int | None:
        """When the account's next message is due; None when nothing waits."""
        rows = self._by_due(account, 1, "account = :account", {})
        return rows[0]["next_attempt_at"] if rows else None

    def waiting(self, account: str, limit: int) -> list[Message]:
        """Messages with something due some time, without their bodies, the longest due first."""
        return self._without_bodies(self._by_due(account, limit, "account = :account", {}))

    def claim(self, account: str, message: str, *, worker: str, now: int, until: int) -> Claimed:
        """Begins an attempt; the row that was there comes back with a refusal."""
        attempt = message_rows.attempt_row(Attempt(number=0, worker=worker, began_at=now))
        values = {
            **_states(State.SENDING, State.UNKNOWN, *CLAIMABLE),
            ":resend": OnUnknown.RESEND,
            ":worker": worker,
            ":now": now,
            ":until": until,
            ":attempt": [attempt],
        }
        try:
            return Claimed(done=True, row=self._update(_key(account, message), CLAIM, CLAIM_IF, values))
        except ConditionFailed as failed:
            found = from_row(from_item(failed.item)) if failed.item else None
            return Claimed(done=found is not None and _is_claim_of(found, worker, until), row=found)

    def commit(self, message: Message, *, until: int) -> bool:
        """Written just before the final dot: whoever cannot write it must not write the dot."""
        return self._done(
            _key(message.account, message.id),
            "SET #state = :committing, next_attempt_at = :until,"
            f" attempts[{len(message.attempts) - 1}].phase = :phase",
            # Also from `committing`: the client repeats a write whose answer was lost.
            "#state IN (:sending, :committing) AND claim = :claim",
            {
                **_states(State.SENDING, State.COMMITTING),
                ":claim": message.claim,
                ":until": until,
                ":phase": "commit",
            },
        )

    def finish(self, message: Message, outcome: Outcome) -> bool:
        """The claim is the fence; `unknown` is allowed for an answer that comes after it was given up.

        Where the row has no room, the outcome is written without the words of servers: it must not be lost.
        """
        try:
            return self._finish(message, outcome)
        except TooLargeToStore:
            return self._finish(message, message_rows.without_words(outcome))

    def _finish(self, message: Message, outcome: Outcome) -> bool:
        values = {
            **_states(State.SENDING, State.COMMITTING, State.UNKNOWN),
            ":claim": message.claim,
            ":state": outcome.state,
            ":attempt": message_rows.attempt_row(outcome.attempt),
            ":recipients": message_rows.recipient_rows(outcome.recipients),
            ":next": outcome.next_attempt_at,
            ":listed_as": message_rows.listed_as(message, outcome.state),
        }
        sets = [
            "#state = :state",
            f"attempts[{len(message.attempts) - 1}] = :attempt",
            "recipients = :recipients",
            "listed_as = :listed_as",
        ]
        removes = []
        if outcome.next_attempt_at is None:
            removes.append("next_attempt_at")
        else:
            sets.append("next_attempt_at = :next")
        if outcome.state is State.DEFERRED and len(message.attempts) > MOST_KEPT:
            # Only here: after any other outcome the same attempt may be written once more, by its place.
            removes.append(f"attempts[{FIRST_KEPT}]")
            sets.append("left_out = :left_out, left_out_unknown = :left_out_unknown")
            values.update(_one_less(message))
        update = f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else "")
        condition = "claim = :claim AND #state IN (:sending, :committing, :unknown)"
        return self._done(_key(message.account, message.id), update, condition, values)

    def resolve(self, message: Message, word: Word) -> bool:
        """What a person says where nobody knows; the claim goes, so that no worker contradicts.

        The number of attempts is part of the fence, as it is of `cancel`.
        """
        update = "SET #state = :state, recipients = :recipients, resolved_by = :by,"
        update += " expires_at = :expires_at, #ttl = :ttl, listed_as = :listed_as"
        update += (
            ", next_attempt_at = :due REMOVE claim"
            if word.due_at is not None
            else " REMOVE claim, next_attempt_at"
        )
        values = {
            **_states(State.UNKNOWN),
            ":state": word.state,
            ":recipients": message_rows.recipient_rows(word.recipients),
            ":by": word.by,
            ":expires_at": word.expires_at,
            ":ttl": word.ttl,
            ":due": word.due_at,
            ":listed_as": message_rows.listed_as(message, word.state),
        }
        condition, seen = _as_seen(message)
        return self._done(
            _key(message.account, message.id),
            update,
            f"#state = :unknown AND {condition}",
            {**values, **seen},
        )

    def cancel(self, message: Message, cancellation: Cancellation) -> bool:
        """The number of attempts is part of the fence: what an attempt that came since has done must stay."""
        update = "SET #state = :cancelled, recipients = :recipients, cancelled_by = :by, cancelled_at = :at"
        update += ", listed_as = :listed_as"
        if message.state is State.SENDING:
            last = f"attempts[{len(message.attempts) - 1}]"
            update += f", {last}.ended_at = :at, {last}.outcome = :cancelled"
        as_seen, seen = _as_seen(message)
        condition = f"#state IN (:queued, :deferred, :sending) AND #state = :seen AND {as_seen}"
        values = {
            **_states(State.CANCELLED, *CANCELLABLE),
            ":recipients": message_rows.recipient_rows(cancellation.recipients),
            ":by": cancellation.by,
            ":at": cancellation.at,
            ":seen": message.state,
            **seen,
            ":listed_as": message_rows.listed_as(message, State.CANCELLED),
        }
        update += " REMOVE claim, next_attempt_at"
        return self._done(_key(message.account, message.id), update, condition, values)

    def _by_due(
        self, account: str, limit: int, condition: str, values: dict[str, Any]
    ) -> list[dict[str, Any]]:
        with translated(WHAT):
            found = self._client.query(
                TableName=self._table,
                IndexName=DUE,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=to_item({":account": account, **values}),
                ConsistentRead=True,
                Limit=limit,
            )
        return [from_item(item) for item in found["Items"]]

    def _without_bodies(self, keys: list[dict[str, Any]]) -> list[Message]:
        """The rows of the keys, in their order. Indexes hold keys only: every update writes them."""
        rows: dict[str, Message] = {}
        for first in range(0, len(keys), BATCH):
            rows.update(self._batch(keys[first : first + BATCH]))
        return [rows[key["message"]] for key in keys if key["message"] in rows]

    def _batch(self, keys: list[dict[str, Any]]) -> dict[str, Message]:
        """Rows by message id."""
        wanted = [{"account": key["account"], "message": key["message"]} for key in keys]
        found = read_some(self._client, WHAT, {self._table: wanted}, **message_rows.WITHOUT_BODY)
        return {row.id: row for row in map(from_row, found[self._table])}

    def _done(self, key: dict[str, Any], update: str, condition: str, values: dict[str, Any]) -> bool:
        try:
            self._update(key, update, condition, values)
        except ConditionFailed:
            return False
        return True

    def _update(self, key: dict[str, Any], update: str, condition: str, values: dict[str, Any]) -> Message:
        with translated(WHAT):
            done = self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={name: name[1:] for name in RESERVED if name in update + condition},
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        return from_row(from_item(done["Attributes"]))


def _key(account: str, message: str) -> dict[str, Any]:
    return to_item({"account": account, "message": message})


def _as_seen(message: Message) -> tuple[str, dict[str, Any]]:
    """The condition, with its values, that no attempt has begun since the row was seen."""
    values: dict[str, Any] = {":attempts": len(message.attempts)}
    if not message.left_out:
        return "size(attempts) = :attempts AND attribute_not_exists(left_out)", values
    return "size(attempts) = :attempts AND left_out = :left_out", {**values, ":left_out": message.left_out}


def _is_claim_of(found: Message, worker: str, until: int) -> bool:
    """Whether the claim was written after all: the client repeats a write whose answer was lost."""
    return found.state is State.SENDING and found.claim == worker and found.next_attempt_at == until


def _one_less(message: Message) -> dict[str, Any]:
    """What the row remembers of attempts that it no longer holds."""
    unknown = message.attempts[FIRST_KEPT].outcome is State.UNKNOWN
    return {
        ":left_out": message.left_out + 1,
        ":left_out_unknown": message.left_out_unknown or unknown,
    }


def _states(*states: State) -> dict[str, str]:
    return {f":{state}": str(state) for state in states}
