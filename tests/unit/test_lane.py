"""Lanes: ringing and resting, against the real table."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib import ids
from chalicelib.clock import DAY, HOUR, MINUTE
from chalicelib.errors import InvalidInput
from chalicelib.ids import lane_shard_of
from chalicelib.mail.lane import LEASE, _next_look
from chalicelib.mail.models import ClosedReason, Slot
from chalicelib.mail.relaying import wakeup
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]


def ring(world: World) -> None:
    world.lane.ring(world.account.id, expires_at=world.now() + DAY)


def take(world: World, worker: str = "wrk_1", slots: int = 3) -> Slot:
    slot = world.lane.take(world.account.id, worker, slots=slots)
    assert slot is not None
    return slot


def test_ringing_makes_the_lane_due_and_tells_whether_somebody_is_there(world: World) -> None:
    first = world.lane.ring(world.account.id, expires_at=world.now() + DAY)
    take(world)
    second = world.lane.ring(world.account.id, expires_at=world.now() + DAY)

    assert (first.served, second.served) == (False, True)
    assert world.account.id in world.lane.due(lane_shard_of(world.account.id), world.now(), 1000)


def test_there_are_as_many_slots_as_connections(world: World) -> None:
    ring(world)

    taken = [world.lane.take(world.account.id, f"wrk_{number}", slots=2) for number in range(3)]

    assert [slot.number if slot else None for slot in taken] == [1, 2, None]


def test_workers_that_come_at_once_get_different_slots(world: World) -> None:
    ring(world)
    taken: list[Slot | None] = []
    workers = [
        threading.Thread(
            target=lambda name=name: taken.append(world.lane.take(world.account.id, name, slots=3))
        )
        for name in "abcdef"
    ]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(slot.number for slot in taken if slot) == [1, 2, 3]


def test_a_lane_without_work_is_not_taken(world: World) -> None:
    assert world.lane.take(world.account.id, "wrk", slots=3) is None
    ring(world)
    world.lane.give_back(take(world))

    assert world.lane.take(world.account.id, "wrk", slots=3) is None


def test_a_slot_of_a_dead_worker_is_free_when_its_lease_ends(world: World) -> None:
    ring(world)
    take(world, slots=1)
    assert world.lane.take(world.account.id, "wrk_2", slots=1) is None

    world.ahead = LEASE + 1

    take(world, "wrk_2", slots=1)


def test_a_slot_is_not_given_back_when_somebody_has_rung(world: World) -> None:
    ring(world)
    slot = take(world)
    ring(world)

    again = world.lane.give_back(slot)

    assert again is not None
    assert again.rung == slot.rung + 1
    assert world.lane.give_back(again) is None
    assert world.lane.state(world.account.id).next_due_at is None


def test_a_slot_given_back_leaves_the_lane_due_at_the_next_attempt(world: World) -> None:
    message = world.accept()
    slot = take(world)
    due_at = world.now() + HOUR
    claimed = world.messages_table.claim(
        world.account.id, message, worker=slot.owner, now=world.now(), until=due_at
    )

    assert claimed.done
    assert world.lane.give_back(slot) is None
    assert world.lane.state(world.account.id).next_due_at == due_at


def test_a_slot_is_kept_while_mail_is_due(world: World) -> None:
    world.accept()
    slot = take(world)

    assert world.lane.give_back(slot) == slot
    assert world.lane.give_back(slot, stuck=True) is None


def test_a_lease_is_renewed_when_little_is_left(world: World) -> None:
    ring(world)
    slot = take(world)
    assert world.lane.beat(slot) == slot
    world.ahead = 2 * MINUTE

    renewed = world.lane.beat(slot)

    assert renewed is not None
    assert renewed.until > slot.until


def test_a_slot_that_another_worker_has_is_lost(world: World) -> None:
    ring(world)
    slot = take(world, slots=1)
    world.ahead = LEASE + 1
    take(world, "wrk_2", slots=1)

    assert world.lane.beat(slot) is None
    assert world.lane.give_back(slot) is None
    assert world.lane.state(world.account.id).live_slots(world.now()) == 1


def test_a_resting_lane_is_not_served_even_when_rung(world: World) -> None:
    ring(world)
    until = world.lane.rest(take(world), retry_after=600)

    rung = world.lane.ring(world.account.id, expires_at=world.now() + DAY)

    assert rung.resting
    assert world.lane.take(world.account.id, "wrk", slots=3) is None
    assert world.lane.state(world.account.id).next_due_at == until
    world.ahead = 601_000
    take(world)


def test_rests_grow_and_end_with_a_slot_given_back(world: World) -> None:
    ring(world)
    for _ in range(3):
        until = world.lane.rest(take(world))
        world.ahead += until - world.now() + 1

    assert world.lane.state(world.account.id).rests == 3
    world.lane.give_back(take(world))
    assert world.lane.state(world.account.id).rests == 0


def test_rests_begin_anew_after_something_was_sent(world: World) -> None:
    ring(world)
    for _ in range(3):
        world.ahead += HOUR
        world.lane.rest(take(world), progress=True)

    assert world.lane.state(world.account.id).rests == 1


def served(world: World, slot: Slot) -> Slot:
    return replace(slot, served_at=world.now())


def test_a_lane_that_was_served_is_looked_at_a_day_later_and_then_no_more(world: World) -> None:
    ring(world)
    world.lane.give_back(served(world, take(world)))
    due_at = world.lane.state(world.account.id).next_due_at
    assert due_at is not None
    assert DAY <= due_at - world.now() <= DAY + HOUR
    world.ahead = due_at - world.now()

    world.lane.give_back(take(world))

    assert world.lane.state(world.account.id).next_due_at is None


def test_a_wake_up_before_the_daily_look_takes_no_slot(world: World) -> None:
    ring(world)
    world.lane.give_back(served(world, take(world)))

    assert world.lane.take(world.account.id, "wrk", slots=3) is None


def test_a_worker_that_finds_nothing_leaves_the_daily_look_of_another(world: World) -> None:
    ring(world)
    idle, busy = take(world, "wrk_1"), take(world, "wrk_2")
    world.lane.give_back(served(world, busy))

    again = world.lane.give_back(idle)

    assert again is not None
    assert world.lane.give_back(again) is None
    due_at = world.lane.state(world.account.id).next_due_at
    assert due_at is not None
    assert due_at > world.now() + 23 * HOUR


@pytest.mark.parametrize("how", ["give_back", "leave", "rest"])
def test_a_slot_that_is_freed_says_when_it_was_used(world: World, how: str) -> None:
    ring(world)
    slot = take(world)
    assert world.lane.used_at(world.account.id) == pytest.approx(world.now(), abs=MINUTE)
    assert world.lane.state(world.account.id).served_at is None
    used = served(world, slot)

    if how == "leave":
        world.lane.leave(used, due_at=None)
    else:
        getattr(world.lane, how)(used)

    assert world.lane.used_at(world.account.id) == used.served_at


def test_a_lane_that_was_only_looked_at_was_not_used(world: World) -> None:
    ring(world)
    world.lane.give_back(take(world))

    assert world.lane.used_at(world.account.id) is None


def test_a_closed_lane_is_due_when_its_first_message_expires(world: World) -> None:
    world.accept(expires_in=7200)
    world.lane.close(world.account.id, ClosedReason.NEEDS_RECONNECT)
    world.lane.put_off_closed(world.lane.state(world.account.id))
    first = world.lane.state(world.account.id).next_due_at
    later = world.lane.ring(world.account.id, expires_at=world.now() + DAY)
    world.lane.ring(world.account.id, expires_at=world.now() + HOUR)

    assert first is not None
    assert later.held is ClosedReason.NEEDS_RECONNECT
    due_at = world.lane.state(world.account.id).next_due_at
    assert due_at is not None
    assert due_at <= first
    assert due_at <= world.now() + HOUR
    assert world.lane.take(world.account.id, "wrk", slots=3) is None


def test_a_blocked_lane_is_probed_by_one_worker(world: World) -> None:
    ring(world)
    world.lane.close(world.account.id, ClosedReason.BLOCKED)
    assert world.lane.take(world.account.id, "wrk", slots=3) is None
    world.ahead = 16 * MINUTE

    slot = take(world)

    assert slot.probe
    assert world.lane.take(world.account.id, "wrk_2", slots=3) is None


def test_mail_for_a_blocked_lane_makes_it_due_at_its_probe(world: World) -> None:
    ring(world)
    world.lane.give_back(take(world))
    world.lane.close(world.account.id, ClosedReason.BLOCKED)
    row = world.lane.state(world.account.id)
    world.lane.put_off(row, due_at=None)

    world.accept()

    assert world.lane.state(world.account.id).next_due_at == row.probe_at


def test_opening_a_lane_wakes_a_relay_only_if_there_is_a_lane(world: World) -> None:
    assert not world.lane.open(world.account.id)
    ring(world)
    world.lane.close(world.account.id, ClosedReason.NEEDS_RECONNECT)
    world.wakeups_sent()

    assert world.lane.open(world.account.id)

    assert world.wakeups_sent() == 1
    assert world.lane.state(world.account.id).closed is None
    take(world)


@pytest.mark.parametrize("body", ["x", "[]", "{}", '{"account": 1}', '{"account": "acc_1"}'])
def test_a_body_that_is_no_wake_up_is_refused(body: str) -> None:
    with pytest.raises(InvalidInput):
        wakeup.parse(body)


def test_a_wake_up_names_its_account(world: World) -> None:
    world.wakeups_sent()
    world.wakeups.wake(world.account.id, "msg_1")  # not one of this account's

    (found,) = world.sqs.receive_message(QueueUrl=world.queue)["Messages"]

    assert wakeup.parse(found["Body"]) == wakeup.Wakeup(world.account.id)


def test_ud3_closed_lanes_are_looked_at_each_at_its_own_minute() -> None:
    """Two thousand lanes that one outage closed are spread over the hour, and each comes once in it."""
    now = 1_800_000_000_000
    accounts = [ids.new_id("acc") for _ in range(2_000)]
    looks = [_next_look(account, now) - now for account in accounts]

    assert min(looks) > 0
    assert max(looks) <= HOUR
    minutes = Counter(look // MINUTE for look in looks)
    assert len(minutes) >= 59
    assert max(minutes.values()) < 100
    assert [
        _next_look(account, now + look) - now - look for account, look in zip(accounts, looks, strict=True)
    ] == [HOUR] * len(accounts)
