"""A model of the tables of messages and lanes in memory: a simulation, for tests of many interleavings.

tests/unit/test_mail_stores.py holds it to the tables: the same writes must have the same answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.ids import LANE_SHARDS, lane_shard_of
from chalicelib.mail.models import (
    CANCELLABLE,
    CLAIMABLE,
    FIRST_KEPT,
    MOST_KEPT,
    Attempt,
    ClosedReason,
    LaneRow,
    Message,
    OnUnknown,
    Phase,
    Slot,
    State,
)
from chalicelib.mail.ports import Cancellation, Claimed, Outcome, Word, Written


class MessagesModel:
    """Models MessagesTable."""

    def __init__(self) -> None:
        self.rows: dict[str, Message] = {}

    def add(self, message: Message, *, ttl: int) -> Message | None:
        if message.id in self.rows:
            return self.rows[message.id]
        self.rows[message.id] = message
        return None

    def get(self, account: str, message: str) -> Message | None:
        return self.rows.get(message)

    def due(self, account: str, now: int, limit: int) -> list[str]:
        return [one.id for one in self._waiting(account) if (one.next_attempt_at or 0) <= now][:limit]

    def next_due(self, account: str) -> int | None:
        return next((one.next_attempt_at for one in self._waiting(account)), None)

    def waiting(self, account: str, limit: int) -> list[Message]:
        return [replace(one, body=None) for one in self._waiting(account)[:limit]]

    def claim(self, account: str, message: str, *, worker: str, now: int, until: int) -> Claimed:
        row = self.rows.get(message)
        if row is None or not _claimable(row, now):
            return Claimed(row is not None and _is_claim_of(row, worker, until), row)
        attempt = Attempt(len(row.attempts) + 1 + row.left_out, worker, now)
        self.rows[message] = replace(
            row,
            state=State.SENDING,
            claim=worker,
            next_attempt_at=until,
            attempts=(*row.attempts, attempt),
        )
        return Claimed(done=True, row=self.rows[message])

    def commit(self, message: Message, *, until: int) -> bool:
        row = self.rows[message.id]
        if row.claim != message.claim or row.state not in (State.SENDING, State.COMMITTING):
            return False
        attempts = _with(row, message, replace(row.attempts[len(message.attempts) - 1], phase=Phase.COMMIT))
        self.rows[row.id] = replace(row, state=State.COMMITTING, next_attempt_at=until, attempts=attempts)
        return True

    def finish(self, message: Message, outcome: Outcome) -> bool:
        row = self.rows[message.id]
        open_for = (State.SENDING, State.COMMITTING, State.UNKNOWN)
        if row.claim is None or row.claim != message.claim or row.state not in open_for:
            return False
        finished = replace(
            row,
            state=outcome.state,
            attempts=_with(row, message, outcome.attempt),
            recipients=outcome.recipients,
            next_attempt_at=outcome.next_attempt_at,
        )
        if outcome.state is State.DEFERRED and len(message.attempts) > MOST_KEPT:
            finished = _one_less(finished, message)
        self.rows[row.id] = finished
        return True

    def resolve(self, message: Message, word: Word) -> bool:
        row = self.rows.get(message.id)
        if row is None or row.state is not State.UNKNOWN:
            return False
        self.rows[message.id] = replace(
            row,
            state=word.state,
            recipients=word.recipients,
            resolved_by=word.by,
            expires_at=word.expires_at,
            next_attempt_at=word.due_at,
            claim=None,
        )
        return True

    def cancel(self, message: Message, cancellation: Cancellation) -> bool:
        row = self.rows[message.id]
        seen = (message.state, len(message.attempts), message.left_out)
        if row.state not in CANCELLABLE or (row.state, len(row.attempts), row.left_out) != seen:
            return False
        attempts = row.attempts
        if row.state is State.SENDING:
            stopped = replace(attempts[-1], ended_at=cancellation.at, outcome=State.CANCELLED)
            attempts = _with(row, message, stopped)
        self.rows[row.id] = replace(
            row,
            state=State.CANCELLED,
            recipients=cancellation.recipients,
            cancelled_by=cancellation.by,
            cancelled_at=cancellation.at,
            next_attempt_at=None,
            claim=None,
            attempts=attempts,
        )
        return True

    def _waiting(self, account: str) -> list[Message]:
        rows = [one for one in self.rows.values() if one.account == account]
        return sorted(
            (one for one in rows if one.next_attempt_at is not None),
            key=lambda one: one.next_attempt_at or 0,
        )


def _is_claim_of(row: Message, worker: str, until: int) -> bool:
    """Whether the claim was written after all: the client repeats a write whose answer was lost."""
    return row.state is State.SENDING and row.claim == worker and row.next_attempt_at == until


def _claimable(row: Message, now: int) -> bool:
    if row.next_attempt_at is None or row.next_attempt_at > now:
        return False
    again = row.state is State.UNKNOWN and row.on_unknown is OnUnknown.RESEND
    return row.state in CLAIMABLE or row.state is State.SENDING or again


def _with(row: Message, message: Message, attempt: Attempt) -> tuple[Attempt, ...]:
    """The row's attempts with the last one of the message replaced."""
    place = len(message.attempts) - 1
    return (*row.attempts[:place], attempt, *row.attempts[place + 1 :])


def _one_less(row: Message, message: Message) -> Message:
    unknown = message.attempts[FIRST_KEPT].outcome is State.UNKNOWN
    return replace(
        row,
        attempts=(*row.attempts[:FIRST_KEPT], *row.attempts[FIRST_KEPT + 1 :]),
        left_out=message.left_out + 1,
        left_out_unknown=message.left_out_unknown or unknown,
    )


class LanesModel:
    """Models LanesTable. Its index shows the rows as they were at the last `index()` while it lags."""

    shards = LANE_SHARDS

    def __init__(self) -> None:
        self.rows: dict[str, LaneRow] = {}
        self.lags = False
        self._owners: dict[tuple[str, int], str] = {}
        self._indexed: dict[str, LaneRow] = {}

    def index(self) -> None:
        """The index catches up."""
        self._indexed = dict(self.rows)

    def get(self, account: str) -> LaneRow | None:
        return self.rows.get(account)

    def ring(self, account: str, *, due_at: int) -> Written:
        row = self._row(account)
        return self._write(row.closed is None, row, next_due_at=due_at, rung=row.rung + 1)

    def hold(self, row: LaneRow, *, due_at: int) -> Written:
        now = self._row(row.account)
        may = now.closed is not None and now.next_due_at == row.next_due_at
        return self._write(may, now, next_due_at=due_at, rung=now.rung + 1)

    def take(self, account: str, number: int, *, owner: str, now: int, until: int) -> Written:
        row = self._row(account)
        due = row.next_due_at is not None and row.next_due_at <= until
        may = _free(row, number, now) and due and row.closed is None and not row.resting(now)
        return self._lease(row, number, owner, until, may=may)

    def take_probe(self, account: str, number: int, *, owner: str, now: int, until: int) -> Written:
        row = self._row(account)
        due = row.probe_at is not None and row.probe_at <= now
        may = _free(row, number, now) and row.closed is not None and due
        return self._lease(row, number, owner, until, may=may, probe_at=until)

    def extend(self, account: str, number: int, *, owner: str, until: int) -> Written:
        row = self._row(account)
        mine = self._owners.get((account, number)) == owner
        return self._lease(row, number, owner, until, may=mine)

    def give_back(self, slot: Slot, *, due_at: int | None) -> Written:
        row = self._row(slot.account)
        unchanged = row.rung == slot.rung and row.served_at == slot.seen_served_at
        return self._free_slot(slot, row, unchanged, next_due_at=due_at, rest_until=None, rests=0)

    def leave(self, slot: Slot, *, due_at: int | None) -> Written:
        row = self._row(slot.account)
        return self._free_slot(slot, row, next_due_at=row.next_due_at if due_at is None else due_at)

    def rest(self, slot: Slot, *, until: int, rests: int) -> Written:
        row = self._row(slot.account)
        return self._free_slot(slot, row, next_due_at=until, rest_until=until, rests=rests)

    def close(self, account: str, reason: ClosedReason, *, now: int, probe_at: int | None) -> None:
        row = self._row(account)
        closed: dict[str, Any] = {"closed": reason, "closed_at": now, "probe_at": probe_at}
        self._write(account in self.rows, row, next_due_at=now, probes=row.probes + 1, **closed)

    def open(self, account: str, *, now: int) -> Written:
        row = self._row(account)
        opened = LaneRow(account, row.rung + 1, now, row.slots, opened_at=now, served_at=row.served_at)
        return self._put(account in self.rows, opened)

    def put_off(self, row: LaneRow, *, due_at: int | None) -> Written:
        now = self._row(row.account)
        may = row.account in self.rows and (now.next_due_at, now.rung) == (row.next_due_at, row.rung)
        return self._write(may, now, next_due_at=due_at)

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        rows = self._indexed if self.lags else self.rows
        due = [(row.next_due_at, name) for name, row in rows.items() if row.next_due_at is not None]
        return [name for at, name in sorted(due) if at <= now and lane_shard_of(name) == shard][:limit]

    def _row(self, account: str) -> LaneRow:
        return self.rows.get(account, LaneRow(account))

    def _write(self, may: bool, row: LaneRow, **changes: Any) -> Written:  # noqa: FBT001 - the condition
        return self._put(may, replace(row, **changes))

    def _put(self, may: bool, row: LaneRow) -> Written:  # noqa: FBT001 - the condition
        if may:
            self.rows[row.account] = row
        return Written(may, self.rows.get(row.account))

    def _lease(
        self, row: LaneRow, number: int, owner: str, until: int, *, may: bool, **changes: Any
    ) -> Written:
        if may:
            self._owners[row.account, number] = owner
        slots = tuple(sorted({**dict(row.slots), number: until}.items()))
        return self._write(may, row, slots=slots, next_due_at=until, **changes)

    def _free_slot(self, slot: Slot, row: LaneRow, may: bool = True, **changes: Any) -> Written:  # noqa: FBT001, FBT002
        place = (slot.account, slot.number)
        if may := may and self._owners.get(place) == slot.owner:
            del self._owners[place]
        slots = tuple(one for one in row.slots if one[0] != slot.number)
        served_at = row.served_at if slot.served_at is None else slot.served_at
        return self._write(may, row, slots=slots, served_at=served_at, **changes)


def _free(row: LaneRow, number: int, now: int) -> bool:
    return dict(row.slots).get(number, now) <= now
