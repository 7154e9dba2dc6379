"""Relaying: one worker's visit to the lane of one account, over one connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from chalicelib import ids
from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.clock import MINUTE, SECOND, Clock
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import NotFound
from chalicelib.logs import about, logger
from chalicelib.mail.lane import MOST_HELD, Lane
from chalicelib.mail.models import PROBED, ClosedReason, Slot, State
from chalicelib.mail.ports import (
    FindMailbox,
    FreshToken,
    Mailbox,
    Messages,
    OpenSession,
    SetTransportBlock,
)
from chalicelib.mail.relaying import outcomes
from chalicelib.mail.relaying.connection import Connection
from chalicelib.mail.relaying.delivery import Delivery, LaneStops

AT_ONCE = 25
"""How many due messages one look brings."""

ENDED_AT_ONCE = 100
"""How many messages one visit gives up without a server; the lane stays due while there are more."""

TIME_FOR_ONE = 4 * MINUTE
"""No message is begun with less left: the answer to the final dot alone is waited for up to 120 s."""

LANES_AT_ONCE = 250
"""How many due lanes one look at a shard brings. Every account with mail adds one look a day: sixteen shards
of this size a minute are 5.8 million."""

PAUSED = Diagnosis(
    DiagnosisClass.ADMIN, "paused", "The account is paused.", "Whoever paused it lets it go on."
)
DISCONNECTED = Diagnosis(
    DiagnosisClass.RECONNECT,
    "account_disconnected",
    "The account was disconnected.",
    "To send its mail, make a new connect link for its owner.",
)

LOOK_EVERY = 10 * SECOND
"""How often a visit looks whether the account was paused or disconnected meanwhile."""

log = logger("relay")


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a visit: the states that attempts ended in, and what stopped the lane, if anything did."""

    account: str
    served: bool
    outcomes: dict[str, int] = field(default_factory=dict)
    stopped: str | None = None


class Relay:
    """Relays mail. `slots` gives the number of connections that a connector's provider allows a mailbox."""

    def __init__(  # noqa: PLR0913 - each is one thing that it works with
        self,
        *,
        messages: Messages,
        lane: Lane,
        delivery: Delivery,
        mailbox: FindMailbox,
        fresh_token: FreshToken,
        open_session: OpenSession,
        set_transport_block: SetTransportBlock,
        slots: Callable[[Connector], int],
        clock: Clock,
    ) -> None:
        self._messages = messages
        self._lane = lane
        self._delivery = delivery
        self._mailbox = mailbox
        self._fresh_token = fresh_token
        self._open_session = open_session
        self._set_transport_block = set_transport_block
        self._slots = slots
        self._clock = clock

    def run(self, account: str, *, until: int, named: str | None = None) -> Report:
        """Relays what is due of the account; `until` is when this process ends (ms).

        `named` is a message that is due, or was: it goes first, without a look at what is due.
        Returns at once when enough workers are there. Raises Unavailable when our own stores do not answer;
        everything that was begun then ends by its lease.
        """
        try:
            mailbox = self._mailbox(account)
        except NotFound:
            self._attend_orphan(account)
            return Report(account, served=False)
        with about(account=account, provider=mailbox[1].provider):
            return self._visited(account, mailbox, until, named)

    def _visited(self, account: str, mailbox: Mailbox, until: int, named: str | None) -> Report:
        slot = self._lane.take(account, ids.new_id("wrk"), slots=self._slots(mailbox[1]))
        if slot is None:
            self._attend_closed(account)
            return Report(account, served=False)
        connection = Connection(mailbox, self._open_session, self._fresh_token, self._clock)
        visit = _Visit(account, slot, mailbox, connection, until, looked_at=self._clock())
        try:
            self._serve(visit, named)
        finally:
            connection.close()
        report = Report(account, served=True, outcomes=dict(visit.outcomes), stopped=visit.stopped)
        log.info("visit ended", extra={"facts": asdict(report)})
        return report

    def run_due(self, *, until: int) -> list[Report]:
        """Looks at the lanes that are due: wakes a relay for all but the first, and serves that one itself.

        A lane whose wake-up cannot be sent is served here too, while time lasts: mail flows even with a
        broken queue.
        """
        due = [account for shard in self._lane.shards for account in self._due(shard)]
        own = due[:1] + [account for account in due[1:] if not self._lane.wake(account)]
        reports = []
        for account in own:
            if self._clock() + TIME_FOR_ONE > until:
                break
            try:
                reports.append(self.run(account, until=until))
            except Exception:
                # One account's trouble must not keep the others from being served.
                log.exception("a lane could not be served", extra={"facts": {"account": account}})
        return reports

    def _serve(self, visit: _Visit, named: str | None) -> None:
        """Drains the lane; whatever stops it, the slot is given back."""
        try:
            self._refuse_held(visit.mailbox)
            self._drain(visit, [named] if named else self._look(visit))
        except LaneStops as stop:
            visit.stopped = stop.diagnosis.code
            self._stop(visit, stop)
        except Exception:
            # Not understood, so it may come again: the lane rests instead of turning in circles.
            self._lane.rest(visit.slot)
            raise

    def _drain(self, visit: _Visit, due: list[str]) -> None:
        """Relays what is due, and looks again until nothing is; then gives the slot back."""
        while True:
            fresh = [message for message in due if message not in visit.seen]
            for message in fresh:
                if not self._may_begin(visit):
                    return
                self._one(visit, message)
            if not fresh or len(due) < AT_ONCE:
                kept = self._lane.give_back(visit.slot, stuck=bool(due) and not fresh)
                if kept is None:
                    return
                visit.slot = kept
            due = self._look(visit)

    def _look(self, visit: _Visit) -> list[str]:
        return self._messages.due(visit.account, self._clock(), AT_ONCE)

    def _may_begin(self, visit: _Visit) -> bool:
        """Whether there is time for another message and the slot is still ours; if not, it is given up."""
        if self._clock() + TIME_FOR_ONE > visit.until:
            self._lane.leave(visit.slot, due_at=self._clock())
            self._lane.wake(visit.account)
            return False
        kept = self._lane.beat(visit.slot)
        visit.slot = kept or visit.slot
        if kept is not None:
            self._look_again(visit)
        return kept is not None

    def _one(self, visit: _Visit, message: str) -> None:
        try:
            outcome = self._delivery.deliver(
                visit.account, message, visit.slot.owner, visit.connection, until=visit.until
            )
        except LaneStops as stop:
            visit.outcomes.update([str(stop.state)] if stop.state else [])
            raise
        finally:
            # Afterwards, since the token may have been refreshed meanwhile: whatever was refreshed before
            # this moment is in use.
            visit.slot = replace(visit.slot, served_at=self._clock())
        visit.outcomes[str(outcome or "skipped")] += 1
        if outcome is None:
            visit.seen.add(message)
        if visit.connection.ready:
            self._unblock(visit)

    def _unblock(self, visit: _Visit) -> None:
        """The server has let us in, so whatever closed the lane is over."""
        account, connector = visit.mailbox
        if account.transport_block is not None:
            self._set_transport_block(account.id, None)
            visit.mailbox = (replace(account, transport_block=None), connector)
        if visit.slot.probe:
            self._lane.open(account.id)
            visit.slot = replace(visit.slot, probe=False)

    def _stop(self, visit: _Visit, stop: LaneStops) -> None:
        if stop.reason is None or (stop.doubtful and visit.slot.rests == 0):
            progress = visit.outcomes[State.SENT] > 0
            self._lane.rest(visit.slot, retry_after=stop.diagnosis.retry_after, progress=progress)
            return
        if stop.reason is ClosedReason.BLOCKED:
            self._set_transport_block(visit.account, stop.diagnosis)
        self._lane.close(visit.account, stop.reason)
        self._lane.leave(visit.slot, due_at=None)

    def _look_again(self, visit: _Visit) -> None:
        """Raises LaneStops if the account was paused or disconnected since it was looked at."""
        if self._clock() - visit.looked_at >= LOOK_EVERY:
            visit.looked_at = self._clock()
            self._refuse_held(self._mailbox(visit.account))

    def _refuse_held(self, mailbox: Mailbox) -> None:
        """Raises LaneStops for an account of which no mail shall go, whatever tokens and servers say."""
        account = mailbox[0]
        if account.grant_state is GrantState.NONE:
            raise LaneStops(DISCONNECTED, ClosedReason.DISCONNECTED)
        if account.paused_by is not None:
            raise LaneStops(PAUSED, ClosedReason.PAUSED)

    def _attend_closed(self, account: str) -> None:
        """Opens a closed lane whose reason is gone, or lets its mail expire and finds when to look again.

        The reason may have gone before the lane was closed for it, which opened nothing then.
        """
        row = self._lane.state(account)
        now = self._clock()
        if row.closed is None or row.next_due_at is None or row.next_due_at > now or row.probe_due(now):
            return
        if self._is_over(account, row.closed):
            self._lane.open(account)
            return
        held = self._messages.waiting(account, MOST_HELD)
        for message in [one for one in held if one.expires_at <= now][:ENDED_AT_ONCE]:
            self._delivery.end(message, outcomes.expired_held(row.closed))
        self._lane.put_off_closed(row)

    def _is_over(self, account: str, reason: ClosedReason) -> bool:
        """Whether the account, read after its lane was seen closed, no longer gives that reason."""
        found = self._mailbox(account)[0]
        if reason is ClosedReason.PAUSED:
            return found.paused_by is None
        return reason not in PROBED and found.grant_state is GrantState.ACTIVE

    def _attend_orphan(self, account: str) -> None:
        """Ends the mail of an account that no longer exists, so that its lane is not looked at for ever."""
        row = self._lane.state(account)
        for message in self._messages.waiting(account, ENDED_AT_ONCE):
            self._delivery.end(message, outcomes.ACCOUNT_GONE)
        self._lane.put_off(row, due_at=self._messages.next_due(account))
        log.warning("a lane without an account", extra={"facts": {"account": account}})

    def _due(self, shard: str) -> list[str]:
        return self._lane.due(shard, self._clock(), LANES_AT_ONCE)


@dataclass(slots=True)
class _Visit:
    """What one worker knows while it serves a lane."""

    account: str
    slot: Slot
    mailbox: Mailbox
    connection: Connection
    until: int
    looked_at: int
    outcomes: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    stopped: str | None = None
