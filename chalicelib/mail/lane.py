"""The lane of an account: who relays its mail, and when (ringing and resting).

Accept rings: one more in `rung`, due now; it wakes a relay only if no slot is live. A worker takes one
slot (a lease), drains what is due, looks once more, and gives the slot back on condition that nobody has
rung since its look. So no mail is left behind, whatever dies in between: a row with work is always due
some time. A lane that was served and has no more work is looked at once, a day later: a message that was
stored by an accept that died before it rang is found then at the latest.

A closed lane takes no worker. Whoever closes it leaves it due; who looks at it then opens it if its reason
is gone, lets its mail expire, and puts it off on condition that no mail has come since: to the earliest
`expires_at`, to when it may be probed, or for an hour. A lane that rests waits for its server.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from chalicelib.clock import DAY, HOUR, MINUTE, Clock
from chalicelib.errors import Unavailable
from chalicelib.logs import logger
from chalicelib.mail.models import KEPT, PROBED, ClosedReason, LaneRow, Message, Slot
from chalicelib.mail.ports import Lanes, Messages, Wakeups
from chalicelib.mail.relaying import schedule

LEASE = 5 * MINUTE
"""How long a slot is held without a sign of life."""

RENEW_BELOW = 3 * MINUTE + MINUTE // 2
"""A lease with less than this left is renewed before the next message."""

LOOK_AGAIN = HOUR
"""A closed lane with mail is looked at this often: whoever made its reason go may not have opened it."""

MOST_HELD = 5_000
"""How many held messages are looked at for their expiry: their keys come in one page of 1 MB.
Of more, those that are due first."""

log = logger("lane")


@dataclass(frozen=True, slots=True)
class Rung:
    """What ringing came to: `held` says why nothing is relayed now, `served` whether a worker is there."""

    served: bool
    resting: bool
    held: ClosedReason | None


class Lane:
    """All lanes, by account."""

    def __init__(self, lanes: Lanes, messages: Messages, wakeups: Wakeups, clock: Clock) -> None:
        self._lanes = lanes
        self._messages = messages
        self._wakeups = wakeups
        self._clock = clock

    def announce(self, message: Message) -> None:
        """Rings for a message that may be due, and wakes a relay where none is at work and none must wait."""
        rung = self.ring(message.account, expires_at=message.expires_at)
        if not rung.served and not rung.resting and rung.held is None:
            self.wake(message.account, message.id)

    def announce_later(self, message: Message) -> None:
        """Has a relay announce the message, which could not be done now. Raises Unavailable."""
        self._wakeups.wake(message.account, message.id, ring=True)

    def ring_for(self, account: str, message_id: str) -> None:
        """Rings for a stored message that was not announced; nothing where it waits no more."""
        message = self._messages.get(account, message_id)
        if message is not None and message.next_attempt_at is not None:
            self.ring(account, expires_at=message.expires_at)

    def wake(self, account: str, message: str | None = None) -> bool:
        """Wakes a relay; False if that failed, which costs a minute: a lane that is due is looked at then."""
        try:
            self._wakeups.wake(account, message)
        except Unavailable:
            log.warning("a relay could not be woken", extra={"facts": {"account": account}})
            return False
        return True

    def ring(self, account: str, *, expires_at: int) -> Rung:
        """Makes the lane due now or, if it is closed, at the time when its new mail expires.

        It is always "now", also for a message that waits for its next attempt: a later time would put off
        what else is due. The worker who finds nothing sets the right time.
        """
        while True:
            now = self._clock()
            rung = self._lanes.ring(account, due_at=now)
            row = rung.row or LaneRow(account)
            if rung.done:
                return Rung(row.live_slots(now) > 0, row.resting(now), None)
            due = (row.next_due_at, _look_at_closed(row, [expires_at], now))
            if self._lanes.hold(row, due_at=min(at for at in due if at is not None)).done:
                return Rung(served=False, resting=False, held=row.closed)
            # Opened or put off between the two writes: ring again.

    def state(self, account: str) -> LaneRow:
        """The lane as it is stored; an account that has had no mail has an empty one."""
        return self._lanes.get(account) or LaneRow(account)

    def used_at(self, account: str) -> int | None:
        """When the account's mail was last relayed, or tried to be: now, while a worker is at it."""
        row, now = self.state(account), self._clock()
        return now if row.live_slots(now) else row.served_at

    def waiting(self, account: str, limit: int) -> int:
        """How many messages of the account are not over, counted up to `limit`."""
        return len(self._messages.due(account, self._clock() + KEPT, limit))

    def take(self, account: str, worker: str, *, slots: int) -> Slot | None:
        """A place in the lane, or None: all taken, closed, resting, or nothing due soon.

        A lane that is due although it rests is put off again; a closed one is taken if its probe is due.
        """
        for number in range(1, slots + 1):
            now = self._clock()
            taken = self._lanes.take(account, number, owner=worker, now=now, until=now + LEASE)
            if taken.row is None or taken.row.next_due_at is None:
                return None
            if taken.done:
                return _slot(taken.row, number, worker, now)
            if taken.row.closed is not None:
                return self._take_probe(taken.row, worker, now)
            if taken.row.resting(now):
                self.put_off(taken.row, due_at=taken.row.rest_until)
                return None
            if taken.row.next_due_at > now + LEASE:
                return None
        return None

    def beat(self, slot: Slot) -> Slot | None:
        """The slot with its lease renewed where little is left; None when another worker has it."""
        now = self._clock()
        if slot.until - now > RENEW_BELOW:
            return slot
        extended = self._lanes.extend(slot.account, slot.number, owner=slot.owner, until=now + LEASE)
        if not extended.done or extended.row is None:
            return None
        return replace(slot, until=now + LEASE)

    def give_back(self, slot: Slot, *, stuck: bool = False) -> Slot | None:
        """Looks once more, and gives the slot back if nothing is due.

        Returns None when that is done, or the slot, still held, when there is work: look again. `stuck`
        says that what is due cannot be claimed: then the lane is due again after a minute.
        """
        now = self._clock()
        due_at = self._messages.next_due(slot.account)
        if due_at is not None and due_at <= now:
            if not stuck:
                return slot
            due_at = now + MINUTE
        given = self._lanes.give_back(slot, due_at=due_at or _daily_look(slot, now))
        seen = slot if given.done or given.row is None else _seen(slot, given.row)
        return None if seen == slot else seen

    def leave(self, slot: Slot, *, due_at: int | None) -> None:
        """Gives the slot back with work left; due at that time (None: as the lane stands)."""
        self._lanes.leave(slot, due_at=due_at)

    def rest(self, slot: Slot, *, retry_after: int | None = None, progress: bool = False) -> int:
        """Gives the slot back and lets the lane rest; returns until when.

        `retry_after` is in seconds. Rests in a row grow longer; `progress` says that something was sent
        before this one, which begins the row anew.
        """
        rests = 1 if progress else slot.rests + 1
        until = self._clock() + schedule.backoff(schedule.LANE_STEPS, rests, retry_after=retry_after)
        self._lanes.rest(slot, until=until, rests=rests)
        return until

    def close(self, account: str, reason: ClosedReason) -> None:
        """Closes the lane for the reason, or closes it again after a probe that failed.

        It is due at once: who looks at it then finds whether the reason is still there and what expires when.
        """
        now = self._clock()
        probe_at = None
        if reason in PROBED:
            probe_at = now + schedule.backoff(schedule.PROBE_STEPS, self.state(account).probes + 1)
        self._lanes.close(account, reason, now=now, probe_at=probe_at)

    def open(self, account: str) -> bool:
        """Opens the lane and wakes a relay for what was held; False when the account has no lane."""
        opened = self._lanes.open(account, now=self._clock())
        if opened.done:
            self.wake(account)
        return opened.done

    def release(self, account: str, reason: ClosedReason) -> None:
        """Opens the lane if it is closed for that reason; one that is closed for another stays so."""
        if self.state(account).closed is reason:
            self.open(account)

    def put_off(self, row: LaneRow, *, due_at: int | None) -> None:
        """Replaces the due time of the row, if nobody has rung or changed it since the row was seen."""
        if due_at != row.next_due_at:
            self._lanes.put_off(row, due_at=due_at)

    def put_off_closed(self, row: LaneRow) -> None:
        """As put_off, for a closed lane: until its next expiry or probe, for LOOK_AGAIN if it has mail."""
        expiries = [message.expires_at for message in self._messages.waiting(row.account, MOST_HELD)]
        self.put_off(row, due_at=_look_at_closed(row, expiries, self._clock()))

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """The accounts of one shard whose lanes are due."""
        return self._lanes.due(shard, now, limit)

    @property
    def shards(self) -> tuple[str, ...]:
        """The shards of the lanes."""
        return self._lanes.shards

    def _take_probe(self, row: LaneRow, worker: str, now: int) -> Slot | None:
        if not row.probe_due(now):
            return None
        taken = self._lanes.take_probe(row.account, 1, owner=worker, now=now, until=now + LEASE)
        if not taken.done or taken.row is None:
            return None
        return replace(_slot(taken.row, 1, worker, now), probe=True)


def _slot(row: LaneRow, number: int, worker: str, now: int) -> Slot:
    return Slot(row.account, number, worker, now + LEASE, row.rung, row.rests, row.served_at)


def _look_at_closed(row: LaneRow, expiries: list[int], now: int) -> int | None:
    """When a closed lane is looked at next, of whose mail is known when it expires."""
    times = [*expiries, _next_look(row.account, now)] if expiries else []
    if row.probe_at is not None:
        times.append(max(row.probe_at, now))
    return min(times, default=None)


def _next_look(account: str, now: int) -> int:
    """When the account's closed lane is looked at for its reason: once in each LOOK_AGAIN, at its own minute.

    Else all lanes that one outage closed would be looked at together for ever.
    """
    own = zlib.crc32(account.encode()) % LOOK_AGAIN
    return now + LOOK_AGAIN - (now - own) % LOOK_AGAIN


def _seen(slot: Slot, row: LaneRow) -> Slot:
    return replace(slot, rung=row.rung, seen_served_at=row.served_at)


def _daily_look(slot: Slot, now: int) -> int | None:
    """When a lane without work is looked at once more; None for one that has been idle for a day."""
    served_at = slot.last_served_at()
    if served_at is None or now - served_at >= DAY:
        return None
    return schedule.daily_look(served_at)
