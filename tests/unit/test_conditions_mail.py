"""What each condition of a write on the mail's side forbids; tests/conditions takes it away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib import ids
from chalicelib.mail.models import (
    Attempt,
    ClosedReason,
    Envelope,
    LaneRow,
    Message,
    Phase,
    Slot,
    State,
)
from chalicelib.mail.ports import Cancellation, Outcome, Word
from chalicelib.wiring import Gateway

if TYPE_CHECKING:
    from chalicelib.aws.tables.lanes import LanesTable
    from chalicelib.aws.tables.messages import MessagesTable
    from tests.unit.aws_tables import Aws

pytestmark = pytest.mark.aws

NOW = 1_800_000_000_000
UNTIL = NOW + 300_000


@pytest.fixture
def stores(aws: Aws) -> Gateway:
    """The application's tables."""
    stores = Gateway(aws.settings)
    stores.__dict__["clients"] = aws.clients
    return stores


@pytest.fixture
def lanes(stores: Gateway) -> LanesTable:
    """The table of lanes."""
    return stores.lanes_table


@pytest.fixture
def messages(stores: Gateway) -> MessagesTable:
    """The table of messages."""
    return stores.messages_table


@pytest.fixture
def account(lanes: LanesTable) -> str:
    """An account whose lane was rung once."""
    account = ids.new_id("acc")
    assert lanes.ring(account, due_at=NOW).done
    return account


def take(lanes: LanesTable, account: str, owner: str) -> Slot:
    """The first slot, taken."""
    taken = lanes.take(account, 1, owner=owner, now=NOW, until=UNTIL)
    assert taken.done
    assert taken.row is not None
    return Slot(account, 1, owner, UNTIL, taken.row.rung)


def close(lanes: LanesTable, account: str, *, probe_at: int | None = None) -> None:
    """The lane is closed."""
    lanes.close(account, ClosedReason.BLOCKED, now=NOW, probe_at=probe_at)


def seen(lanes: LanesTable, account: str) -> LaneRow:
    """The lane as it is now."""
    row = lanes.get(account)
    assert row is not None
    return row


# Lanes


def test_a_closed_lane_is_not_rung(lanes: LanesTable, account: str) -> None:
    close(lanes, account)

    assert not lanes.ring(account, due_at=NOW).done


def test_a_lane_that_was_opened_is_not_held(lanes: LanesTable, account: str) -> None:
    close(lanes, account)
    closed = seen(lanes, account)
    lanes.open(account, now=NOW)

    assert not lanes.hold(closed, due_at=NOW).done


def test_a_held_lane_that_was_put_off_meanwhile_is_looked_at_again(lanes: LanesTable, account: str) -> None:
    close(lanes, account)
    closed = seen(lanes, account)
    assert lanes.put_off(closed, due_at=UNTIL).done

    assert not lanes.hold(closed, due_at=NOW).done


def test_a_slot_that_is_taken_is_not_taken_again(lanes: LanesTable, account: str) -> None:
    take(lanes, account, "first")

    assert not lanes.take(account, 1, owner="second", now=NOW, until=UNTIL).done


def test_a_lane_is_not_probed_before_its_time(lanes: LanesTable, account: str) -> None:
    close(lanes, account, probe_at=UNTIL)

    assert not lanes.take_probe(account, 1, owner="first", now=NOW, until=UNTIL).done


def test_a_slot_of_somebody_else_is_not_extended(lanes: LanesTable, account: str) -> None:
    take(lanes, account, "first")

    assert not lanes.extend(account, 1, owner="second", until=UNTIL + 1).done


def test_a_slot_is_not_given_back_over_a_ring(lanes: LanesTable, account: str) -> None:
    slot = take(lanes, account, "first")
    lanes.ring(account, due_at=NOW)

    assert not lanes.give_back(slot, due_at=None).done


def test_a_slot_of_somebody_else_is_not_left(lanes: LanesTable, account: str) -> None:
    slot = take(lanes, account, "first")

    assert not lanes.leave(replace(slot, owner="second"), due_at=NOW).done


def test_a_slot_of_somebody_else_does_not_rest(lanes: LanesTable, account: str) -> None:
    slot = take(lanes, account, "first")

    assert not lanes.rest(replace(slot, owner="second"), until=UNTIL, rests=1).done


def test_an_account_without_mail_has_no_lane_to_close(lanes: LanesTable) -> None:
    nobody = ids.new_id("acc")
    close(lanes, nobody)

    assert lanes.get(nobody) is None


def test_an_account_without_mail_has_no_lane_to_open(lanes: LanesTable) -> None:
    nobody = ids.new_id("acc")

    assert not lanes.open(nobody, now=NOW).done


def test_a_lane_is_not_put_off_when_its_due_time_is_another(lanes: LanesTable, account: str) -> None:
    row = seen(lanes, account)

    assert not lanes.put_off(replace(row, next_due_at=NOW - 1), due_at=UNTIL).done
    assert not lanes.put_off(replace(row, next_due_at=None), due_at=UNTIL).done


def test_a_lane_is_not_put_off_over_mail_that_came_while_it_was_held(lanes: LanesTable, account: str) -> None:
    close(lanes, account)
    row = seen(lanes, account)
    assert lanes.hold(row, due_at=NOW).done

    assert not lanes.put_off(row, due_at=UNTIL).done


# Messages


def queued(account: str, **changes: object) -> Message:
    """A message that was accepted and is due."""
    message = Message(
        id=ids.new_message_id(account),
        account=account,
        caller="key",
        state=State.QUEUED,
        envelope=Envelope("ada@example.org", ("bob@example.net",)),
        size=1,
        message_id="<1@example.org>",
        accepted_at=NOW,
        expires_at=UNTIL,
        fingerprint="first",
        body=b"x",
        next_attempt_at=NOW,
    )
    return replace(message, **changes)  # type: ignore[arg-type]


@pytest.fixture
def message(messages: MessagesTable, account: str) -> Message:
    """A message that is stored."""
    message = queued(account)
    assert messages.add(message, ttl=UNTIL) is None
    return message


def claim(messages: MessagesTable, message: Message, worker: str) -> Message:
    """The message with the worker's claim."""
    claimed = messages.claim(message.account, message.id, worker=worker, now=NOW, until=UNTIL)
    assert claimed.done
    assert claimed.row is not None
    return claimed.row


def test_a_message_is_not_replaced(messages: MessagesTable, message: Message) -> None:
    found = messages.add(replace(message, fingerprint="second"), ttl=UNTIL)

    assert found is not None
    assert found.fingerprint == "first"


def test_a_claim_that_lives_is_not_taken(messages: MessagesTable, message: Message) -> None:
    claim(messages, message, "first")

    assert not messages.claim(message.account, message.id, worker="second", now=NOW, until=UNTIL + 1).done


def test_only_the_claims_owner_commits(messages: MessagesTable, message: Message) -> None:
    claimed = claim(messages, message, "first")

    assert not messages.commit(replace(claimed, claim="second"), until=UNTIL)


def test_only_the_claims_owner_finishes(messages: MessagesTable, message: Message) -> None:
    claimed = claim(messages, message, "first")
    done = Attempt(number=1, worker="second", began_at=NOW, phase=Phase.DONE, outcome=State.SENT)

    assert not messages.finish(replace(claimed, claim="second"), Outcome(State.SENT, done))


def test_what_is_not_unknown_is_not_resolved(messages: MessagesTable, message: Message) -> None:
    word = Word(State.FAILED, by="key", recipients=(), expires_at=UNTIL, ttl=UNTIL)

    assert not messages.resolve(message, word)


def test_ud5_an_attempt_that_ended_since_is_not_resolved(messages: MessagesTable, message: Message) -> None:
    """Seen `unknown` after its first attempt; the second one sent it to somebody and is `unknown` too."""
    seen = unknown(messages, message, worker="first")
    unknown(messages, seen, worker="second")
    word = Word(State.FAILED, by="key", recipients=(), expires_at=UNTIL, ttl=UNTIL)

    assert not messages.resolve(seen, word)
    current = messages.get(message.account, message.id)
    assert current is not None
    assert messages.resolve(current, word)


def unknown(messages: MessagesTable, message: Message, *, worker: str) -> Message:
    """The message after an attempt of which nobody knows, due again at once."""
    claimed = claim(messages, message, worker)
    attempt = Attempt(1, worker=worker, began_at=NOW, phase=Phase.COMMIT, outcome=State.UNKNOWN)
    assert messages.finish(claimed, Outcome(State.UNKNOWN, attempt, next_attempt_at=NOW))
    stored = messages.get(message.account, message.id)
    assert stored is not None
    return stored


def test_an_attempt_that_began_since_is_not_cancelled(messages: MessagesTable, message: Message) -> None:
    claimed = claim(messages, message, "first")
    cancellation = Cancellation("key", NOW, ())

    assert not messages.cancel(message, cancellation)
    assert messages.commit(claimed, until=UNTIL)
    assert not messages.cancel(claimed, cancellation)
    assert not messages.cancel(replace(claimed, state=State.COMMITTING), cancellation)
