"""The model of the mail tables, which properties are tested on, answers as the tables of DynamoDB do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import ids
from chalicelib.aws.tables.lanes import LanesTable
from chalicelib.aws.tables.messages import MessagesTable
from chalicelib.mail.models import (
    FIRST_KEPT,
    MOST_KEPT,
    Attempt,
    ClosedReason,
    Envelope,
    LaneRow,
    Message,
    OnUnknown,
    Slot,
    State,
)
from chalicelib.mail.ports import Cancellation, Claimed, Outcome, Word, Written
from tests.properties.mail_stores import LanesModel, MessagesModel

if TYPE_CHECKING:
    from tests.unit.aws_tables import Aws

LONG_AGO = 1_000
Call = tuple[str, tuple[Any, ...], dict[str, Any]]
WORKERS = ("wrk_1", "wrk_2")
STATES = (State.SENT, State.DEFERRED, State.UNKNOWN, State.FAILED)


@dataclass
class Chance:
    """What is written by chance, the same for every run of one seed; times are few, so that they meet."""

    random: random.Random
    account: str
    rows: list[LaneRow] = field(default_factory=list)
    """What was answered of the lane, the latest last."""

    def time(self) -> int:
        return self.random.randint(LONG_AGO, LONG_AGO + 9)

    def maybe(self) -> int | None:
        return self.random.choice([None, self.time()])

    def lane_calls(self, times: int) -> Iterator[Call]:
        for _ in range(times):
            yield self.random.choice([self._lane_call, self._slot_call, self._take_call])()

    def _lane_call(self) -> Call:
        reason = self.random.choice(list(ClosedReason))
        calls: list[Call] = [
            ("ring", (self.account,), {"due_at": self.time()}),
            ("hold", (self._seen_row(),), {"due_at": self.time()}),
            ("close", (self.account, reason), {"now": self.time(), "probe_at": self.maybe()}),
            ("open", (self.account,), {"now": self.time()}),
            ("put_off", (self._seen_row(),), {"due_at": self.time() + 10}),
            ("put_off", (self._seen_row(),), {"due_at": None}),
            ("get", (self.account,), {}),
        ]
        return self.random.choice(calls)

    def _seen_row(self) -> LaneRow:
        """The row as some worker may remember it."""
        return self.random.choice(self.rows[-3:] or [LaneRow(self.account)])

    def _take_call(self) -> Call:
        number, owner = self.random.choice([1, 2]), self.random.choice(WORKERS)
        times = {"now": self.time(), "until": self.time()}
        calls: list[Call] = [
            ("take", (self.account, number), {"owner": owner, **times}),
            ("take_probe", (self.account, number), {"owner": owner, **times}),
            ("extend", (self.account, number), {"owner": owner, "until": self.time()}),
        ]
        return self.random.choice(calls)

    def _slot_call(self) -> Call:
        seen = self._seen_row()
        slot = Slot(
            self.account,
            self.random.choice([1, 2]),
            self.random.choice(WORKERS),
            self.time(),
            rung=seen.rung,
            seen_served_at=seen.served_at,
            served_at=self.random.choice([None, None, self.time()]),
        )
        calls: list[Call] = [
            ("give_back", (slot,), {"due_at": self.maybe()}),
            ("leave", (slot,), {"due_at": self.maybe()}),
            ("rest", (slot,), {"until": self.time(), "rests": 2}),
        ]
        return self.random.choice(calls)

    def message(self) -> Message:
        now = self.time()
        return Message(
            id=ids.new_message_id(self.account),
            account=self.account,
            caller="key_1",
            state=State.QUEUED,
            envelope=Envelope("a@example.com", ("b@example.com",)),
            size=1,
            message_id="<1@example.com>",
            accepted_at=now,
            expires_at=now + 100,
            fingerprint="f",
            on_unknown=self.random.choice(list(OnUnknown)),
            body=b"x",
            next_attempt_at=now,
        )

    def message_call(self, known: Message) -> Call:
        """A call about a message as some worker may remember it."""
        place = (self.account, known.id)
        calls: list[Call] = [
            (
                "claim",
                place,
                {"worker": self.random.choice(WORKERS), "now": self.time(), "until": self.time()},
            ),
            ("due", (self.account, self.time(), 10), {}),
            ("next_due", (self.account,), {}),
            ("waiting", (self.account, 10), {}),
            ("get", place, {}),
            ("resolve", (known,), {"word": self._word()}),
            ("add", (known,), {"ttl": 1}),
        ]
        if known.attempts:
            outcome = self._outcome(known)
            calls += [
                ("cancel", (known, Cancellation("key_1", self.time(), ())), {}),
                ("commit", (known,), {"until": self.time()}),
                ("finish", (known, outcome), {}),
                ("finish", (known, outcome), {}),
            ]
        return self.random.choice(calls)

    def _outcome(self, known: Message) -> Outcome:
        state = self.random.choice(STATES)
        return Outcome(state, ended(known.attempts[-1], state), self.maybe())

    def _word(self) -> Word:
        return Word(self.random.choice(STATES), "key_1", (), self.time(), 1, self.maybe())


def ended(attempt: Attempt, state: State) -> Attempt:
    return Attempt(attempt.number, attempt.worker, attempt.began_at, ended_at=LONG_AGO, outcome=state)


def both(table: object, model: object, call: Call) -> Any:
    """What both stores answer, which must be the same."""
    name, arguments, named = call
    answer = getattr(table, name)(*arguments, **named)
    assert getattr(model, name)(*arguments, **named) == answer, call
    return answer


@pytest.fixture
def chance(seed: int) -> Chance:
    return Chance(random.Random(seed), ids.new_id("acc"))  # noqa: S311 - the same for each run


@pytest.mark.parametrize("seed", range(2))
def test_the_model_of_lanes_answers_as_the_table(aws: Aws, chance: Chance) -> None:
    table = LanesTable(aws.clients.dynamodb, aws.settings.table("lanes"))
    model = LanesModel()

    done: Counter[tuple[str, bool]] = Counter()
    for call in chance.lane_calls(250):
        answer = both(table, model, call)
        if isinstance(answer, Written) and answer.row is not None:
            chance.rows.append(answer.row)
            done[call[0], answer.done] += 1

    answers = {name for name, _ in done}
    assert answers >= {"ring", "hold", "open", "put_off", "take", "take_probe", "extend", "give_back", "rest"}
    assert all(done[name, True] for name in answers), done
    assert all(done[name, False] for name in answers - {"open"}), done
    shard = ids.lane_shard_of(chance.account)
    due = chance.account in table.due(shard, LONG_AGO + 9, 1_000)
    assert due is (chance.account in model.due(shard, LONG_AGO + 9, 1_000))


@pytest.mark.parametrize("seed", range(2))
def test_the_model_of_messages_answers_as_the_table(aws: Aws, chance: Chance) -> None:
    table = MessagesTable(aws.clients.dynamodb, aws.settings.table("messages"))
    model = MessagesModel()
    claims = sum(history(table, model, chance) for _ in range(12))

    assert claims > 5


def history(table: MessagesTable, model: MessagesModel, chance: Chance) -> int:
    """Writes one message of an account of its own many times; how many claims of it were done."""
    chance.account = ids.new_id("acc")
    message = chance.message()
    both(table, model, ("add", (message,), {"ttl": 1}))
    remembered = [message]
    for _ in range(25):
        answer = both(table, model, chance.message_call(chance.random.choice(remembered[-3:])))
        if isinstance(answer, Claimed) and answer.done and answer.row is not None:
            remembered.append(answer.row)
    return len(remembered) - 1


@pytest.mark.parametrize("seed", [0])
def test_the_model_leaves_out_the_same_attempts(aws: Aws, chance: Chance) -> None:
    table = MessagesTable(aws.clients.dynamodb, aws.settings.table("messages"))
    model = MessagesModel()
    message = chance.message()
    both(table, model, ("add", (message,), {"ttl": 1}))

    for number in range(MOST_KEPT + 3):
        worker = f"wrk_{number}"
        times = {"now": LONG_AGO + 50, "until": LONG_AGO + 99}
        claimed = both(table, model, ("claim", (chance.account, message.id), {"worker": worker, **times}))
        outcome = Outcome(State.DEFERRED, ended(claimed.row.attempts[-1], State.DEFERRED), LONG_AGO)
        both(table, model, ("finish", (claimed.row, outcome), {}))

    row = both(table, model, ("get", (chance.account, message.id), {}))
    assert row.left_out == 3
    assert row.attempts[FIRST_KEPT].number == FIRST_KEPT + 4
