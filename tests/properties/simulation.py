"""The real token care over modelled stores and a modelled provider, with faults at every step.

One worker at a time runs, but at each step another one may go first and run to its end, so that workers
overlap as a stack does. `Fate` decides what happens at a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from chalicelib import ids
from chalicelib.accounts import keeping, tokens
from chalicelib.accounts.keeping import Keeper, unpacked
from chalicelib.accounts.models import Account, Connector, Grant, Identity, SealedToken, TokenSet
from chalicelib.accounts.refreshing import LEASE, Refresher
from chalicelib.accounts.stores import Stores
from chalicelib.accounts.telling import Telling
from chalicelib.accounts.tokens import Tokens
from chalicelib.clock import HOUR, MINUTE, SECOND
from chalicelib.errors import Diagnosed, MailgrantError, Unavailable
from chalicelib.providers.catalogue import catalogue
from chalicelib.providers.replies import diagnose, transient
from chalicelib.secret import Secret
from tests.properties import stores as model

BEGIN = 1_800_000_000_000
STEP = 40
"""Milliseconds that each step takes."""
NAP = 2 * MINUTE
"""How long a worker that is stopped sleeps: longer than any lease."""
DEPTH = 3


class Fate(StrEnum):
    """What happens at a step."""

    GO = "go"
    DIE = "die"
    FAIL = "fail"
    """The service is throttled, or its answer is lost."""
    NAP = "nap"
    OTHER = "other"
    """Somebody else needs the same token, and is served first."""
    SCHEDULE = "schedule"
    """The schedule fires."""


class Died(BaseException):
    """The process is gone."""


@dataclass
class Provider:
    """A token endpoint. `rotates` and `strict` are its temperament; `step` is done at both ends."""

    rotates: bool
    strict: bool
    step: Callable[[str], None]
    now: Callable[[], int]
    facts: Any = None
    live: dict[str, set[str]] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    given: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    asking: list[tuple[str, int]] = field(default_factory=list)
    overlaps: int = 0

    def new(self, account: str) -> str:
        """A refresh token of the account."""
        token = f"{account}.{len(self.given)}"
        self.given[token] = account
        self.live.setdefault(account, set()).add(token)
        return token

    def refresh(self, _: Connector, __: Secret, refresh_token: Secret) -> TokenSet:
        """One request."""
        presented = refresh_token.reveal()
        account = self.given[presented]
        # Another request of the same grant counts as under way while its own worker's lease lasts.
        self.overlaps += any(one == account and self.now() < ends for one, ends in self.asking)
        entry = (account, self.now() + LEASE - SECOND)
        self.asking.append(entry)
        try:
            self.step("ask")
            answer = self._answer(account, presented)
            self.step("asked, answer")
        except Unavailable as lost:
            raise Diagnosed(transient("no_answer", "The provider did not answer.")) from lost
        finally:
            self.asking.remove(entry)
        return answer

    def _answer(self, account: str, presented: str) -> TokenSet:
        self.requests += 1
        if presented not in self.live[account]:
            if self.strict:
                self.live[account].clear()
            self.dead.add(account)
            raise Diagnosed(diagnose("microsoft", {"error": "invalid_grant", "error_codes": [50173]}))
        newer = None
        if self.rotates:
            newer = Secret(self.new(account))
            if self.strict:
                self.live[account].discard(presented)
        return TokenSet(Secret(f"access {self.requests}"), self.now() + HOUR, newer)


class Simulation:
    """Some accounts, their grants, and workers that need their tokens."""

    def __init__(self, temperament: str, fates: Mapping[int, Fate], accounts: int = 2) -> None:
        self.clock = BEGIN
        self.fates = fates
        self.steps = 0
        self.depth = 0
        self.faults = 0
        self.provider = Provider(
            temperament != "google", temperament == "strict", self._step, lambda: self.clock
        )
        self.provider.facts = catalogue({})["microsoft"]
        self.grants = model.Grants(lambda: self.clock, self._step)
        self.rescue = model.Rescue(self._step)
        self.events = model.Events(self._step)
        self.links: Any = model.Authorizations(self._step)
        self.connectors: Any = model.Connectors(Connector("con", "microsoft", "c", "client", "", BEGIN))
        self.accounts = [self._connected(f"acc_{number:020d}") for number in range(accounts)]

    def now(self) -> int:
        """The time of the simulation."""
        return self.clock

    def process(self) -> Tokens:
        """The token care in a process that knows nothing."""
        now, vault = self.now, model.Vault(self._step)
        keeper = Keeper(self.grants, vault, vault, self.rescue, now)
        secrets: Any = model.Secrets(self._step)
        refresher = Refresher(self.grants, self.connectors, secrets, keeper, now)
        telling = Telling(
            self.grants,
            self.links,
            self.events,
            lambda: "https://x",
            with_address=False,
            now=now,
        )
        accounts: Any = model.Accounts(self.grants)
        stores = Stores(accounts, self.connectors, self.links, self.grants)
        providers: Any = {"microsoft": self.provider}
        return Tokens(stores, providers, refresher, keeper, telling, lambda _: None, now)

    def need(self, account: str) -> bool:
        """A worker needs a newer token than the one that is stored; whether it got one before it ended."""
        known = self.grants.tokens[account].version
        return self._run(lambda care: care.ensure(account, failed_version=known, until=self.clock + MINUTE))

    def schedule(self) -> bool:
        """The schedule fires."""

        def work(care: Tokens) -> None:
            until = self.clock + 5 * MINUTE
            care.drain_rescue(until=until)
            for account in self.accounts:
                care._refresh_one(account, until)

        return self._run(work)

    def settle(self) -> None:
        """Time passes without faults, as often as doubt, leases and the queue's visibility need."""
        self.fates = {}
        for _ in range(4):
            self.clock += 10 * MINUTE
            self.rescue.hidden.clear()
            self.schedule()

    def alive(self, account: str) -> bool:
        """Whether the provider would take the stored refresh token."""
        stored = self.grants.rows[account].refresh_token.partition(b"|")[2].decode()
        return stored in self.provider.live[account]

    def secrets(self, account: str) -> set[str]:
        """Every refresh token of the account that was ever stored, or put on the rescue queue."""
        bodies = [unpacked(body) for body in self.rescue.ever]
        rows = [row for row in (*self.grants.written, *bodies) if row.account == account]
        return {row.refresh_token.partition(b"|")[2].decode() for row in rows}

    def _run(self, work: Callable[[Tokens], None]) -> bool:
        try:
            work(self.process())
        except (Died, MailgrantError):
            return False
        return True

    def _step(self, what: str) -> None:
        self.clock += STEP
        self.steps += 1
        fate = self.fates.get(self.steps, Fate.GO)
        if fate is Fate.GO:
            return
        self.faults += 1
        if fate is Fate.DIE:
            raise Died
        if fate is Fate.FAIL:
            raise Unavailable(f"{what}: no answer", fix="Try again.")
        if fate is Fate.NAP:
            self.clock += NAP
        elif self.depth < DEPTH:
            self.depth += 1
            try:
                self.schedule() if fate is Fate.SCHEDULE else self.need(self.accounts[0])
            finally:
                self.depth -= 1

    def _connected(self, account: str) -> str:
        assert ids.shard_of(account)
        name = f"{account}@mail.example"
        self.grants.accounts[account] = Account(account, name, name, "con", BEGIN)
        sealed = (
            model.Vault(lambda _: None)
            .sealer(account)
            .seal("refresh_token", 1, self.provider.new(account).encode())
        )
        identity = Identity("issuer", "subject", (name,))
        grant = Grant(
            account, 1, sealed, ("send",), identity, BEGIN, BEGIN, refresh_due_at=BEGIN + 45 * 24 * HOUR
        )
        self.grants.connect(grant, SealedToken(account, b"", 1, BEGIN + HOUR, BEGIN))
        return account


@contextmanager
def simulated_sleep(simulation: Simulation) -> Iterator[None]:
    """Waiting moves the simulation's clock instead of taking time."""

    def sleep(seconds: float) -> None:
        simulation.clock += int(seconds * SECOND)

    time = SimpleNamespace(sleep=sleep)
    with patch.object(tokens, "time", time), patch.object(keeping, "time", time):
        yield
