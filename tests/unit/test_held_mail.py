"""Mail of an account that waits for its owner: held, sent in order afterwards, and given up in time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.clock import HOUR, MINUTE, SECOND
from chalicelib.ids import lane_shard_of
from chalicelib.mail.models import ClosedReason, State
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]


def due_at(world: World) -> int | None:
    return world.lane.state(world.account_id).next_due_at


def expiry(world: World, message: str) -> int:
    found = world.messages_table.get(world.account_id, message)
    assert found is not None
    return found.expires_at


def is_looked_at_by(world: World, time: int) -> bool:
    """Whether the account's lane is looked at then at the latest: each has its own minute of an hour."""
    due = due_at(world)
    return due is not None and due <= time


def looked_at(world: World) -> bool:
    """Whether the minute's look would come to the account."""
    return world.account_id in world.lane.due(lane_shard_of(world.account_id), world.now(), 1000)


def test_mail_that_waits_for_an_owner_who_never_comes_expires_and_says_why(world: World) -> None:
    world.lose_consent()
    short, long = world.accept(expires_in=3600), world.accept(expires_in=7200)
    world.serve()
    world.serve()
    later = world.accept(expires_in=5400)
    assert {world.record(one)["state"] for one in (short, long, later)} == {"held"}
    assert is_looked_at_by(world, expiry(world, short))
    assert not looked_at(world)

    world.ahead = HOUR + SECOND
    assert looked_at(world)
    world.serve()

    record = world.record(short)
    assert record["state"] == "failed"
    assert [one["state"] for one in record["recipients"]] == ["failed"]
    diagnosis = record["attempts"][-1]["diagnosis"]
    assert diagnosis["code"] == "expired"
    assert "waited for its owner" in diagnosis["message"]
    assert "connect-link" in diagnosis["fix"]
    assert {world.record(one)["state"] for one in (long, later)} == {"held"}
    assert is_looked_at_by(world, expiry(world, later))

    world.ahead = 2 * HOUR + SECOND
    world.serve()

    assert {world.record(one)["state"] for one in (short, long, later)} == {"failed"}
    assert world.messages_table.next_due(world.account_id) is None
    assert due_at(world) is None
    assert world.post.client.log() == []
    assert world.post.client.sessions() == []


def test_held_mail_flows_in_order_after_the_reconnect(world: World) -> None:
    world.lose_consent()
    messages = [world.accept(subject="1"), world.accept(subject="2")]
    world.serve()
    for subject in ("3", "4"):
        world.ahead += MINUTE
        messages.append(world.accept(subject=subject))
    world.ahead += MINUTE
    assert {world.record(one)["state"] for one in messages} == {"held"}

    world.desk.refusal = None
    world.lane.open(world.account_id)

    assert world.serve() == {"sent": 4}
    arrived = [one["message_id"] for one in world.post.client.log()]
    assert arrived == [world.record(one)["message_id"] for one in messages]


def test_one_that_expires_first_is_found_behind_many(world: World) -> None:
    """However far behind it is in the order of sending."""
    first = world.accept(expires_in=7200)
    model = world.messages_table.get(world.account_id, first)
    assert model is not None
    for place in range(1, 106):
        world.messages_table.add(
            replace(
                model,
                id=f"{first}{place}",
                accepted_at=model.accepted_at + place,
                next_attempt_at=model.accepted_at + place,
            ),
            ttl=model.expires_at,
        )
    world.ahead = SECOND
    hasty = world.accept(expires_in=3600)
    world.change(grant_state=GrantState.NEEDS_RECONNECT)
    world.lane.close(world.account_id, ClosedReason.NEEDS_RECONNECT)
    world.serve()
    assert is_looked_at_by(world, expiry(world, hasty))

    world.ahead = HOUR + MINUTE
    world.serve()

    assert world.record(hasty)["state"] == "failed"
    assert world.record(first)["state"] == "held"
    assert is_looked_at_by(world, expiry(world, first))


@pytest.mark.parametrize("reason", ClosedReason)
def test_each_reason_for_holding_mail_is_told_when_it_expires(world: World, reason: ClosedReason) -> None:
    message = world.accept(expires_in=3600)
    world.change(grant_state=GrantState.NEEDS_RECONNECT, paused_by="key_1")
    world.ahead = HOUR + SECOND
    world.lane.close(world.account_id, reason)

    world.serve()

    found = world.messages_table.get(world.account_id, message)
    assert found is not None
    assert found.state is State.FAILED
    diagnosis = found.attempts[-1].diagnosis
    assert diagnosis is not None
    assert diagnosis.message.startswith("The message expired while ")
    assert diagnosis.fix.endswith(" Then send the message again.")
