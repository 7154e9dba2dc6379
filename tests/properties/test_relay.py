"""Lane and relay over interleavings: no accepted mail is lost, waits for ever or is doubled in silence.

A simulation: the application's own Send, Lane, Relay and Delivery work on modelled stores (mail_stores.py)
and a modelled mail server. Each actor runs in a thread of its own and stops before everything that it asks of
either; hypothesis chooses who goes on, who dies there, and when the clock moves. Wake-ups are all lost: a
visit may come at any time, late or twice, for whatever reason.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from chalicelib.accounts.models import AccessToken, Account, Connector, GrantState
from chalicelib.callers.models import Caller, CallerKind, Scope
from chalicelib.callers.permissions import require
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.mail.delivery import Delivery
from chalicelib.mail.lane import Lane
from chalicelib.mail.models import FINAL, Envelope, Message, OnUnknown, Phase, Reply, State
from chalicelib.mail.ports import Limits
from chalicelib.mail.relay import Relay
from chalicelib.mail.send import Send
from chalicelib.mail.shown import may_be_duplicate
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern, Refused, Verdict
from tests.properties.mail_stores import LanesModel, MessagesModel

ACCOUNT = "acc_00000000000000000000"
SLOTS = 2
VISIT = 15 * MINUTE
FAR = 100_000
"""More steps than any actor takes."""
MOST_LOOKS = 400
"""How many looks of the sweep all mail must be settled in: a message a day old has had some 20 attempts."""
GONE = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "The consent is gone.", "Connect again.")
LOST = Verdict(Concern.MESSAGE, Diagnosis(DiagnosisClass.RETRY, "connection_lost", "Lost.", "Nothing."))
BUSY = Verdict(Concern.MESSAGE, Diagnosis(DiagnosisClass.RETRY, "smtp_451", "Not now.", "Nothing."))
CALLER = Caller("key_1", CallerKind.KEY, "c", frozenset(Scope), frozenset({"*"}), 0)


class Died(BaseException):
    """SIGKILL, as far as a thread can have it: nothing that is asked afterwards is done."""


class Actor(threading.Thread):
    """Work that goes on only for as many steps as it is given."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.result: object = None
        self.failed: BaseException | None = None
        self.over = False
        self._steps = 0
        self._dead = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)

    def run(self) -> None:
        self._go.acquire()
        try:
            self.result = self.work()
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001 - shown by whoever let it go on
            self.failed = error
        self.over = True
        self._stopped.release()

    def go(self, steps: int) -> None:
        self._steps = steps
        self._go.release()
        self._stopped.acquire()
        if self.failed is not None:
            raise self.failed

    def die(self) -> None:
        self._dead = True
        self.go(0)

    def gate(self) -> None:
        if self._steps == 0 and not self._dead:
            self._stopped.release()
            self._go.acquire()
        self._steps -= 1
        if self._dead:
            raise Died


class World:
    """One account, its mail server and everybody who works for it."""

    def __init__(self) -> None:
        self.now = 1_000 * DAY
        self.actors: list[Actor] = []
        self.accepted: dict[str, Actor] = {}
        self.copies: Counter[str] = Counter()
        self.answers: list[str] = []
        self.connector = Connector("con_1", "microsoft", "m", "c", "common", 0)
        self.account = Account(
            ACCOUNT, "a", "a@example.com", "con_1", 0, grant_state=GrantState.ACTIVE, connected_at=self.now
        )
        self.consented = True
        self.messages, self.lanes = MessagesModel(self.gate), LanesModel(self.gate)
        self.lane = Lane(self.lanes, self.messages, self, self.clock)
        self.send = Send(
            mailbox=self.mailbox,
            require=require,
            messages=self.messages,
            blobs=self,
            lane=self.lane,
            limits=lambda _: Limits(),
            clock=self.clock,
        )
        self.relay = Relay(
            messages=self.messages,
            lane=self.lane,
            delivery=Delivery(self.messages, self, lambda *_: True, self.clock),
            mailbox=self.mailbox,
            fresh_token=self.fresh_token,
            open_session=lambda *_: ServerSession(self),
            set_transport_block=lambda *_: None,
            slots=lambda _: SLOTS,
            clock=self.clock,
        )

    # What the application is handed.

    def clock(self) -> int:
        return self.now

    def gate(self) -> None:
        actor = threading.current_thread()
        if isinstance(actor, Actor):
            actor.gate()

    def wake(self, account: str, message: str | None = None) -> None:
        """The wake-up is lost; the events have visits instead."""
        self.gate()

    def put(self, key: str, data: bytes) -> None:
        raise AssertionError("small messages stand in their rows")

    def get(self, key: str) -> bytes | None:
        raise AssertionError("small messages stand in their rows")

    def mailbox(self, account: str) -> tuple[Account, Connector]:
        self.gate()
        return self.account, self.connector

    def fresh_token(self, account: str, *, failed_version: int | None = None) -> AccessToken:
        self.gate()
        if not self.consented:
            raise Diagnosed(GONE)
        return AccessToken(Secret("t"), 1, self.now + HOUR)

    # What happens.

    def begin(self, work: Callable[[], object]) -> Actor:
        actor = Actor(work)
        actor.start()
        self.actors.append(actor)
        return actor

    def accept(self, on_unknown: str, expires_in: int) -> None:
        key = str(len(self.accepted))
        letter: dict[str, Any] = {"account": ACCOUNT, "to": ["b@example.net"], "subject": "s", "text": key}
        letter |= {"on_unknown": on_unknown, "expires_in": expires_in}
        self.accepted[key] = self.begin(lambda: self.send.accept(CALLER, letter, idempotency_key=key).id)

    def visit(self) -> None:
        self.begin(lambda: self.relay.run(ACCOUNT, until=self.now + VISIT))

    def sweep(self) -> None:
        self.begin(lambda: self.relay.run_due(until=self.now + VISIT))

    def go(self, which: int, steps: int) -> None:
        if running := self.running():
            running[which % len(running)].go(steps)

    def crash(self, which: int) -> None:
        if running := self.running():
            running[which % len(running)].die()

    def tick(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.lanes.index()

    def withdraw(self) -> None:
        self.consented = False

    def reconnect(self) -> None:
        """A consent that is saved and then opens the lane."""
        self.consented = True
        self.account = replace(self.account, connected_at=self.now)
        self.begin(lambda: self.lane.open(ACCOUNT))

    def answer(self, how: str) -> None:
        self.answers.append(how)

    def running(self) -> list[Actor]:
        return [actor for actor in self.actors if not actor.over]

    # What must come of it.

    def settle(self, *, survivors: bool) -> None:
        """Everybody ends, and from then on only the sweep looks, whenever the lane is due."""
        for actor in self.running():
            if survivors:
                actor.go(FAR)
            else:
                actor.die()
        self.answers.clear()
        self.lanes.lags = False
        for _ in range(MOST_LOOKS):
            due_at = self.lanes.rows[ACCOUNT].next_due_at if ACCOUNT in self.lanes.rows else None
            if due_at is None:
                return
            self.tick(max(due_at - self.now, 0) + SECOND)
            self.relay.run_due(until=self.now + VISIT)
        raise AssertionError("the lane stays due for ever")

    def check(self) -> None:
        for key, actor in self.accepted.items():
            found = [one for one in self.messages.rows.values() if one.subject == "s" and _is(one, key)]
            assert found or actor.result is None, "an accepted message is gone"
            for message in found:
                self.check_message(message, promised=actor.result is not None)

    def hopeful(self) -> list[str]:
        """The promised messages that have so long to go that only neglect can let them expire."""
        promised = {actor.result for actor in self.accepted.values()}
        rows = self.messages.rows.values()
        return [
            one.id
            for one in rows
            if one.id in promised and one.state not in FINAL and one.expires_at > self.now + 8 * HOUR
        ]

    def check_message(self, message: Message, *, promised: bool) -> None:
        copies, unknown = self.copies[message.id], unknowns(message)
        if promised:
            assert message.next_attempt_at is None, "nobody looks at it any more"
            assert message.state in FINAL or (message.state is State.UNKNOWN and unknown)
        if message.state is State.SENT:
            assert copies >= 1, "it is called sent and did not arrive"
        if message.state is State.FAILED:
            assert copies == 0, "it is called failed and did arrive"
        assert copies <= 1 + unknown, "two copies, and no unknown on record"
        if copies > 1:
            assert may_be_duplicate(message)
        if message.on_unknown is OnUnknown.KEEP:
            assert copies <= 1, "kept, and sent again"


def _is(message: Message, key: str) -> bool:
    return (message.body or b"").rstrip().endswith(key.encode())


def unknowns(message: Message) -> int:
    return sum(attempt.outcome is State.UNKNOWN for attempt in message.attempts)


@dataclass
class ServerSession:
    """One connection to the modelled server; a message counts as delivered once its end was written."""

    world: World
    sent: int = 0
    message: str = ""

    def allow(self, seconds: float) -> None:
        """Time is for the events to move."""

    def connect(self) -> None:
        self.world.gate()

    def authenticate(self, token: Secret) -> None:
        self.world.gate()

    def transfer(self, envelope: Envelope, body: bytes) -> dict[str, Reply]:
        self.world.gate()
        rows = self.world.messages.rows.values()
        self.message = next(one.id for one in rows if one.body == body)
        return {}

    def commit(self) -> Reply:
        self.world.gate()
        answer = self.world.answers.pop(0) if self.world.answers else "taken"
        if answer in ("taken", "taken and lost"):
            self.world.copies[self.message] += 1
        self.world.gate()
        if answer == "busy":
            raise Refused(BUSY, Phase.COMMIT, Reply(451, "4.3.0", "Not now"))
        if answer != "taken":
            raise Refused(LOST, Phase.COMMIT)
        self.sent += 1
        return Reply(250, "2.0.0", "OK")

    def quit(self) -> None:
        """Tells the server nothing that matters."""

    def drop(self) -> None:
        """As quit."""


WHICH = st.integers(0, 7)
STEPS = st.sampled_from([0, 1, 2, 3, 5, 8, 13, 40])
TICKS = st.sampled_from([SECOND, 20 * SECOND, MINUTE + 1, 6 * MINUTE, HOUR, DAY])
ANSWERS = st.sampled_from(["taken", "busy", "lost", "taken and lost"])
ENDS = {name: st.booleans() for name in ("index lags", "survivors", "owner comes")}
EVENTS = st.one_of(
    st.tuples(st.just("accept"), st.sampled_from(["resend", "keep"]), st.sampled_from([3600, 86_400])),
    st.tuples(st.just("visit")),
    st.tuples(st.just("sweep")),
    *[st.tuples(st.just("go"), WHICH, STEPS)] * 4,
    st.tuples(st.just("crash"), WHICH),
    st.tuples(st.just("tick"), TICKS),
    st.tuples(st.just("answer"), ANSWERS),
    st.tuples(st.just("withdraw")),
    st.tuples(st.just("reconnect")),
)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, min_size=10, max_size=60), ends=st.fixed_dictionaries(ENDS))
def test_mail_is_neither_lost_nor_doubled_in_silence_nor_due_for_ever(
    events: list[tuple[Any, ...]], ends: dict[str, bool]
) -> None:
    world = World()
    world.lanes.lags = ends["index lags"]
    world.accept("resend", 86_400)

    for name, *arguments in events:
        getattr(world, name)(*arguments)
    if ends["owner comes"]:
        world.reconnect()
        world.running()[-1].go(FAR)
    hopeful = world.hopeful() if ends["owner comes"] else []
    world.settle(survivors=ends["survivors"])

    world.check()
    assert all(world.messages.rows[message].state is not State.FAILED for message in hopeful)
    for message in world.messages.rows.values():
        event(f"{message.state}, {world.copies[message.id]} copies, {unknowns(message)} unknown")
