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
from chalicelib.accounts.admin.pausing import Pausing
from chalicelib.accounts.models.account import Account, GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.callers.models import Caller, CallerKind, Scope
from chalicelib.callers.permissions import require
from chalicelib.callers.rates import Rates
from chalicelib.clock import DAY, MINUTE
from chalicelib.mail.lane import Lane
from chalicelib.mail.models import ClosedReason
from chalicelib.mail.outbox import Outbox
from chalicelib.mail.ports import Limits
from chalicelib.mail.relaying.delivery import Delivery
from chalicelib.mail.relaying.relay import Relay
from chalicelib.mail.send import Send
from tests.properties.around_relay import AccountsModel, Rows, ServerSession, Services
from tests.properties.mail_stores import LanesModel, MessagesModel
from tests.properties.steps import Actor, Fault, Stepping

ACCOUNT = "acc_00000000000000000000"
SLOTS = 2
VISIT = 15 * MINUTE
CALLER = Caller("key_1", CallerKind.KEY, "c", frozenset(Scope), frozenset({"*"}), 0)


@dataclass
class Letter:
    """One message that was handed in under its key, once or again; promised once a call was answered."""

    id: str
    request: dict[str, Any]
    calls: list[Actor] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    """What persons have said of it, or tried to."""
    resending: list[Actor] = field(default_factory=list)
    """Who wants it sent again."""
    copies_at_cancel: int | None = None

    @property
    def promised(self) -> bool:
        return any(call.answered for call in self.calls)

    @property
    def rung(self) -> bool:
        """Whether the lane must know of it: nobody who wants it sent again was left without an answer."""
        return self.promised and all(call.answered for call in self.resending)


class World:
    """One account, its mail server and everybody who works for it."""

    def __init__(self) -> None:
        self.now = 1_000 * DAY
        self.actors: list[Actor] = []
        self.letters: list[Letter] = []
        self.copies: Counter[str] = Counter()
        self.answers: list[str] = []
        self.server = "well"
        self.consented = True
        self.connector = Connector("con_1", "microsoft", "m", "c", "common", 0)
        self.account = Account(
            ACCOUNT, "a", "a@example.com", "con_1", 0, grant_state=GrantState.ACTIVE, connected_at=self.now
        )
        self.messages, self.lanes = MessagesModel(), LanesModel()
        self.messages.rows = Rows()
        messages, services = Stepping(self.messages), Stepping(Services(self))
        self.lane = Lane(Stepping(self.lanes), messages, services, self.clock)
        self.send = Send(
            mailbox=services.mailbox,
            require=require,
            rates=Rates(services),
            messages=messages,
            blobs=self,
            lane=self.lane,
            limits=lambda _: Limits(),
            clock=self.clock,
        )
        accounts: Any = Stepping(AccountsModel(self))
        self.pausing = Pausing(
            accounts,
            lambda account: self.lane.close(account, ClosedReason.PAUSED),
            lambda account: self.lane.release(account, ClosedReason.PAUSED),
            self.clock,
        )
        lists: Any = None  # nothing here lists
        self.outbox = Outbox(messages, lists, self.lane, services.mailbox, self.clock)
        self.relay = Relay(
            messages=messages,
            lane=self.lane,
            delivery=Delivery(messages, self, lambda *_: CALLER, self.clock),
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
        resolving = self.begin(lambda: self.outbox.resolve(CALLER, letter.id, word))
        if word == "resend":
            letter.resending.append(resolving)

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

    def fail(self, which: int, faults: list[Fault]) -> None:
        """The next steps of somebody fail."""
        if running := self.running():
            running[which % len(running)].faults = list(faults)

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
        self.change(grant_state=GrantState.ACTIVE, connected_at=self.clock())
        self.begin(lambda: self.lane.open(ACCOUNT))

    def pause(self) -> None:
        self.begin(lambda: self.pausing.pause(self.account, by=CALLER.id))

    def resume(self) -> None:
        self.begin(lambda: self.pausing.resume(self.account))

    def begin(self, work: Callable[[], object]) -> Actor:
        actor = Actor(work)
        actor.start()
        self.actors.append(actor)
        return actor

    def does(self, event: str, *arguments: Any) -> Actor:
        """Begins what an event is, for whoever wants to hold its actor."""
        getattr(self, event)(*arguments)
        return self.actors[-1]

    def change(self, **facts: Any) -> None:
        """Facts of the account are written."""
        self.account = replace(self.account, **facts)

    def healthy(self) -> bool:
        """Whether nothing keeps mail from going."""
        return self.consented and self.server == "well" and self.account.paused_by is None

    def running(self) -> list[Actor]:
        """Who is not over, the latest first."""
        return [actor for actor in reversed(self.actors) if not actor.over]

    def _letter(self, which: int) -> Letter:
        return self.letters[which % len(self.letters)]
