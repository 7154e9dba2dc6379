"""The application's own Send, Outbox, Lane, Relay and Delivery at work on one account: a simulation.

Their stores are modelled (mail_stores.py), and so is the mail server; callers, workers and persons are actors
(steps.py). Whoever drives the world chooses who goes on, up to which step, who dies there, whose step fails,
and when the clock moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib import ids
from chalicelib.accounts.models import AccessToken, Account, Connector, GrantState
from chalicelib.callers.models import Caller, CallerKind, Scope
from chalicelib.callers.permissions import require
from chalicelib.clock import DAY, HOUR, MINUTE
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.mail.delivery import Delivery
from chalicelib.mail.lane import Lane
from chalicelib.mail.models import ClosedReason, Envelope, Phase, Reply
from chalicelib.mail.outbox import Outbox
from chalicelib.mail.ports import Limits
from chalicelib.mail.relay import Relay
from chalicelib.mail.send import Send
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern, Refused, Verdict
from tests.properties.mail_stores import LanesModel, MessagesModel
from tests.properties.steps import Actor, Fault, Stepping, stop

ACCOUNT = "acc_00000000000000000000"
SLOTS = 2
VISIT = 15 * MINUTE
CALLER = Caller("key_1", CallerKind.KEY, "c", frozenset(Scope), frozenset({"*"}), 0)


def _verdict(concern: Concern, class_: DiagnosisClass, code: str) -> Verdict:
    return Verdict(concern, Diagnosis(class_, code, "It went wrong.", "Wait."))


GONE = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "The consent is gone.", "Connect again.")
LOST = _verdict(Concern.MESSAGE, DiagnosisClass.RETRY, "connection_lost")
BUSY = _verdict(Concern.MESSAGE, DiagnosisClass.RETRY, "smtp_451")
AWAY = _verdict(Concern.LANE, DiagnosisClass.RETRY, "smtp_unreachable")
BLOCKED = _verdict(Concern.ACCOUNT, DiagnosisClass.ADMIN, "smtp_blocked")


@dataclass
class Letter:
    """One message that was handed in under its key, once or again; promised once a call was answered."""

    id: str
    request: dict[str, Any]
    calls: list[Actor] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    """What persons have said of it, or tried to."""
    copies_at_cancel: int | None = None

    @property
    def promised(self) -> bool:
        return any(call.answered for call in self.calls)


class Services:
    """What is neither store nor server: mailbox, token, wake-ups, and the block that is shown to people."""

    def __init__(self, world: World) -> None:
        self.world = world

    def mailbox(self, account: str) -> tuple[Account, Connector]:
        return self.world.account, self.world.connector

    def fresh_token(self, account: str, *, failed_version: int | None = None) -> AccessToken:
        if not self.world.consented:
            raise Diagnosed(GONE)
        return AccessToken(Secret("t"), 1, self.world.now + HOUR)

    def wake(self, account: str, message: str | None = None) -> None:
        """The wake-up is lost, late or comes twice: the events have visits instead."""

    def block(self, account: str, diagnosis: Diagnosis | None) -> None:
        self.world.account = replace(self.world.account, transport_block=diagnosis)


class World:
    """One account, its mail server and everybody who works for it."""

    def __init__(self) -> None:
        self.now = 1_000 * DAY
        self.actors: list[Actor] = []
        self.letters: list[Letter] = []
        self.copies: Counter[str] = Counter()
        self.answers: list[str] = []
        self._pausing: list[Actor] = []
        self.unhurt = True
        """Whether nobody has died yet, and AWS has done all that it was asked for."""
        self.server = "well"
        self.consented = True
        self.connector = Connector("con_1", "microsoft", "m", "c", "common", 0)
        self.account = Account(
            ACCOUNT, "a", "a@example.com", "con_1", 0, grant_state=GrantState.ACTIVE, connected_at=self.now
        )
        self.messages, self.lanes = MessagesModel(), LanesModel()
        messages, services = Stepping(self.messages), Stepping(Services(self))
        self.lane = Lane(Stepping(self.lanes), messages, services, self.clock)
        self.send = Send(
            mailbox=services.mailbox,
            require=require,
            messages=messages,
            blobs=self,
            lane=self.lane,
            limits=lambda _: Limits(),
            clock=self.clock,
        )
        self.outbox = Outbox(messages, self.lane, services.mailbox, self.clock)
        self.relay = Relay(
            messages=messages,
            lane=self.lane,
            delivery=Delivery(messages, self, lambda *_: True, self.clock),
            mailbox=services.mailbox,
            fresh_token=services.fresh_token,
            open_session=lambda *_: ServerSession(self),
            set_transport_block=services.block,
            slots=lambda _: SLOTS,
            clock=self.clock,
        )

    def clock(self) -> int:
        """No two looks at it show the same."""
        self.now += 1
        return self.now

    def put(self, key: str, data: bytes) -> None:
        raise AssertionError("small messages stand in their rows")

    def get(self, key: str) -> bytes | None:
        raise AssertionError("small messages stand in their rows")

    # What happens: each is an event.

    def accept(self, on_unknown: str = "resend", expires_in: int = 86_400) -> None:
        key = str(len(self.letters))
        request: dict[str, Any] = {"account": ACCOUNT, "to": ["b@example.net"], "subject": "s", "text": key}
        request |= {"on_unknown": on_unknown, "expires_in": expires_in, "idempotency_key": key}
        self.letters.append(Letter(ids.keyed_message_id(ACCOUNT, CALLER.id, key), request))
        self.accept_again(len(self.letters) - 1)

    def accept_again(self, which: int) -> None:
        """The caller, who may not have had an answer, sends the same once more."""
        letter = self._letter(which)
        letter.calls.append(self.begin(lambda: self.send.accept(CALLER, letter.request)))

    def cancel(self, which: int) -> None:
        letter = self._letter(which)

        def cancelling() -> None:
            self.outbox.cancel(CALLER, letter.id)
            letter.copies_at_cancel = self.copies[letter.id]

        self.begin(cancelling)

    def resolve(self, which: int, word: str) -> None:
        letter = self._letter(which)
        letter.words.add(word)
        self.begin(lambda: self.outbox.resolve(CALLER, letter.id, word))

    def visit(self) -> None:
        self.begin(lambda: self.relay.run(ACCOUNT, until=self.now + VISIT))

    def sweep(self) -> None:
        self.begin(lambda: self.relay.run_due(until=self.now + VISIT))

    def go(self, which: int, to: str | int) -> None:
        if running := self.running():
            running[which % len(running)].go(to)

    def crash(self, which: int) -> None:
        if running := self.running():
            running[which % len(running)].die()
            self.unhurt = False

    def fail(self, which: int, faults: list[Fault]) -> None:
        """The next steps of somebody fail."""
        if running := self.running():
            running[which % len(running)].faults = list(faults)
            self.unhurt = False

    def tick(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.lanes.index()

    def answer(self, how: str) -> None:
        self.answers.append(how)

    def serve(self, how: str) -> None:
        self.server = how

    def withdraw(self) -> None:
        self.consented = False

    def reconnect(self) -> None:
        """A consent that is saved and then opens the lane."""
        self.consented = True
        self.account = replace(self.account, connected_at=self.clock())
        self.begin(lambda: self.lane.open(ACCOUNT))

    def pause(self) -> None:
        self.account = replace(self.account, paused_by=CALLER.id)
        self._pausing.append(self.begin(lambda: self.lane.hold(ACCOUNT, ClosedReason.PAUSED)))

    def resume(self) -> None:
        """By whoever paused it, after that was answered."""
        for pausing in self._pausing:
            if not pausing.over:
                pausing.go()
        self.account = replace(self.account, paused_by=None)
        self.begin(lambda: self.lane.open(ACCOUNT))

    def begin(self, work: Callable[[], object]) -> Actor:
        actor = Actor(work)
        actor.start()
        self.actors.append(actor)
        return actor

    def does(self, event: str, *arguments: Any) -> Actor:
        """Begins what an event is, for whoever wants to hold its actor."""
        getattr(self, event)(*arguments)
        return self.actors[-1]

    def healthy(self) -> bool:
        """Whether nothing keeps mail from going."""
        return self.consented and self.server == "well" and self.account.paused_by is None

    def running(self) -> list[Actor]:
        """Who is not over, the latest first."""
        return [actor for actor in reversed(self.actors) if not actor.over]

    def _letter(self, which: int) -> Letter:
        return self.letters[which % len(self.letters)]


@dataclass
class ServerSession:
    """One connection to the modelled server; a message counts as delivered once its end was written."""

    world: World
    sent: int = 0
    message: str = ""

    def allow(self, seconds: float) -> None:
        """Time is for the events to move."""

    def connect(self) -> None:
        stop("connect")
        if self.world.server == "away":
            raise Refused(AWAY, Phase.CONNECT)

    def authenticate(self, token: Secret) -> None:
        stop("authenticate")
        if self.world.server == "blocked":
            raise Refused(BLOCKED, Phase.AUTH, Reply(535, "5.7.139", "Blocked"))

    def transfer(self, envelope: Envelope, body: bytes) -> dict[str, Reply]:
        stop("transfer")
        rows = self.world.messages.rows.values()
        self.message = next(one.id for one in rows if one.body == body)
        return {}

    def commit(self) -> Reply:
        stop("dot")
        answer = self.world.answers.pop(0) if self.world.answers else "taken"
        if answer in ("taken", "taken and lost"):
            self.world.copies[self.message] += 1
        stop("reply")
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
