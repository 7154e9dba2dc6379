"""What must come of all mail in the simulation of lane and relay, whatever has happened before."""

from __future__ import annotations

from chalicelib.clock import DAY, HOUR, SECOND
from chalicelib.mail.lane import LEASE, LOOK_AGAIN
from chalicelib.mail.models import FINAL, LaneRow, Message, OnUnknown, State
from chalicelib.mail.shown import may_be_duplicate
from tests.properties.relay_world import ACCOUNT, VISIT, Letter, World

MOST_LOOKS = 400
"""How many looks of the sweep all mail must be settled in: a message a day old has had some 20 attempts."""
LONGEST_REST = HOUR


def settle(world: World, *, survivors: bool) -> None:
    """Everybody ends, and from then on only the sweep looks, whenever the lane is due."""
    for actor in world.running():
        actor.faults.clear()
        if survivors:
            actor.go()
        else:
            actor.die()
    world.answers.clear()
    world.lanes.lags = False
    for _ in range(MOST_LOOKS):
        check_due(world)
        row = world.lanes.rows.get(ACCOUNT)
        if row is None or row.next_due_at is None:
            return
        world.tick(max(row.next_due_at - world.now, 0) + SECOND)
        assert world.relay.run_due(until=world.now + VISIT), "the look failed"
    raise AssertionError("the lane stays due for ever")


def check_due(world: World) -> None:
    """While nobody is at work, the lane is due about when the first of its promised mail is, or expires."""
    rows = [world.messages.rows[letter.id] for letter in world.letters if letter.rung]
    waiting = [row for row in rows if row.next_attempt_at is not None]
    lane = world.lanes.rows.get(ACCOUNT, LaneRow(ACCOUNT))
    lately = lane.served_at is not None and world.now < lane.served_at + DAY
    assert lane.next_due_at or lane.closed or not lately, "nobody looks a day later"
    if not waiting:
        return
    assert lane.next_due_at is not None, "mail waits, and nobody will look"
    rests = min(lane.rest_until or 0, world.now + LONGEST_REST)
    first = max(min(row.next_attempt_at or 0 for row in waiting), rests)
    if lane.closed is not None:
        first = min(*(row.expires_at for row in waiting), world.now + LOOK_AGAIN)
    assert lane.next_due_at <= max(first, world.now) + LEASE, "mail waits longer than it has to"


def check(world: World, letter: Letter) -> None:
    """What must have come of one message."""
    message = world.messages.rows.get(letter.id)
    if message is None:
        assert not letter.promised, "an accepted message is gone"
        assert letter.copies_at_cancel is None
        return
    copies, unknown = world.copies[message.id], unknowns(message)
    if letter.promised:
        assert message.next_attempt_at is None, "nobody looks at it any more"
        assert message.state in FINAL or (message.state is State.UNKNOWN and unknown)
    if letter.promised and message.state is State.UNKNOWN and message.on_unknown is OnUnknown.RESEND:
        assert (message.attempts[-1].ended_at or 0) >= message.expires_at, "given up before its time"
    if message.state is State.SENT and "sent" not in letter.words:
        assert copies >= 1, "it is called sent and did not arrive"
    if message.state is State.FAILED and "failed" not in letter.words:
        assert copies == 0, "it is called failed and did arrive"
    if message.state is State.CANCELLED:
        assert copies <= unknown, "it is called cancelled and did arrive"
    if letter.copies_at_cancel is not None:
        assert message.state is State.CANCELLED, "it was cancelled, and is not"
        assert copies == letter.copies_at_cancel, "it arrived after it was cancelled"
    assert copies <= 1 + unknown, "two copies, and no unknown on record"
    if copies > 1:
        assert may_be_duplicate(message)
    if message.on_unknown is OnUnknown.KEEP and "resend" not in letter.words:
        assert copies <= 1, "kept, and sent again"


def unknowns(message: Message) -> int:
    return sum(attempt.outcome is State.UNKNOWN for attempt in message.attempts)


def hopeful(world: World) -> list[Letter]:
    """The promised messages that have so long to go that only neglect can let them expire."""
    rows = world.messages.rows
    promised = [letter for letter in world.letters if letter.promised and "failed" not in letter.words]
    return [one for one in promised if rows[one.id].state not in FINAL and lives(rows[one.id], world.now)]


def lives(message: Message, now: int) -> bool:
    return message.expires_at > now + 8 * HOUR


def heal(world: World) -> None:
    """The owner comes, whoever paused the account lets it go on, and the server is well."""
    world.serve("well")
    for heals in (world.resume, world.reconnect):
        heals()
        world.running()[0].go()


def judge(world: World, *, hope: bool, survivors: bool = True) -> None:
    """What comes of it in the end, and whether that is right.

    `hope`: nothing will keep mail from going, but for somebody who pauses the account in the end.
    """
    hopes = hopeful(world) if hope else []
    settle(world, survivors=survivors)

    for letter in world.letters:
        check(world, letter)
    if world.healthy():
        assert all(world.messages.rows[letter.id].state is not State.FAILED for letter in hopes), "neglected"
