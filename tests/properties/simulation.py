"""The real token care over modelled stores and a modelled provider: workers overlap, and anything may fail.

A `Plan` (plans.py) says who works, whose turn it is when, and what goes wrong. One worker runs at a time, and
at each call to a store, a key, a queue or the provider, before and after its work, another one may go on
instead (turns.py). `audit` holds what must be true all the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch

from chalicelib.accounts.models.account import Account
from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import DueReason, Grant, Identity, SealedToken
from chalicelib.accounts.stores import Stores
from chalicelib.accounts.tokens import care as tokens
from chalicelib.accounts.tokens import keeping
from chalicelib.accounts.tokens.access import AccessTokens
from chalicelib.accounts.tokens.care import Tokens
from chalicelib.accounts.tokens.keeping import Keeper
from chalicelib.accounts.tokens.refreshing import Refresher
from chalicelib.accounts.tokens.rescuing import Rescuing
from chalicelib.accounts.tokens.telling import Telling
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.errors import Diagnosed, MailgrantError, Unavailable
from chalicelib.operations import RefreshSchedule
from chalicelib.providers.catalogue import Catalogue
from sandbox.provider.temperaments import TEMPERAMENTS
from tests.properties import services
from tests.properties import stores as model
from tests.properties.audit import Audit, plain
from tests.properties.plans import Fate, Job, Kind, Plan, Service
from tests.properties.provider import Post, Provider, Refused
from tests.properties.turns import Turns, Worker

BEGIN = 1_800_000_000_000
PAUSE = 20 * SECOND
FREEZE = 70 * SECOND
"""Longer than any lease."""
THROTTLE = 30 * SECOND
OUTAGE = 3 * MINUTE


class Simulation:
    """Some accounts and their grants."""

    def __init__(self, temperament: str, accounts: int = 2) -> None:
        self.turns = Turns(BEGIN)
        self.plan = Plan()
        self.steps: Counter[Service] = Counter()
        self.faults = 0
        self.throttled_until = 0
        self.needs: dict[object, int] = {}
        """The version that each worker who needs a token may not use."""
        self.audit = Audit(self)
        now, tables = self.turns.now, partial(self._step, Service.TABLES)
        self.provider = Provider(
            TEMPERAMENTS[temperament],
            now,
            partial(self._step, Service.PROVIDER),
            self._asked,
            self.audit.reused,
        )
        self.provider.facts = Catalogue({})["microsoft"]
        self.grants = model.Grants(now, tables, self.audit.wrote)
        self.rescue = services.Rescue(now, partial(self._step, Service.QUEUE))
        self.events = services.Events(partial(self._step, Service.QUEUE))
        connector = Connector("con", "microsoft", "c", "client", "", BEGIN)
        self.connectors: Any = model.Connectors(connector, tables)
        self.accounts = [self._connected(f"acc_{number:020d}") for number in range(accounts)]

    def play(self, plan: Plan) -> None:
        """One history."""
        begin, self.plan = self.turns.clock, plan
        self.steps.clear()
        workers = [self._worker(job, begin) for job in plan.jobs]
        self.turns.play(workers, plan.switches)
        self.plan, self.throttled_until = Plan(), 0

    def settle(self) -> None:
        """Time passes without faults, as often as doubt, leases and the queue's visibility need."""
        for _ in range(4):
            self.turns.clock += 10 * MINUTE
            self.tick()

    def tick(self) -> None:
        """The schedule fires."""
        self._alone(Job(Kind.TICK, time=5 * MINUTE))

    def need(self, account: str) -> bool:
        """Somebody needs a newer token, while nothing goes wrong; whether there is one then."""
        version = self.grants.tokens[account].version
        self._alone(Job(account=self.accounts.index(account)))
        return self.grants.tokens[account].version > version

    def kept_alive(self, account: str) -> bool:
        """Whether the schedule alone has refreshed the grant in the last hour."""
        return self.grants.rows[account].refreshed_at > self.turns.clock - HOUR

    def conclude(self) -> list[str]:
        """Ends the history; what was broken in it."""
        self.settle()
        for account in self.accounts:
            self.audit.settled(account, partial(self.need, account))
            self.audit.told(account, self.events)
        self._idle()
        return self.audit.broken

    def _idle(self) -> None:
        """Nobody needs a token for long: the schedule keeps each grant alive, whatever the others do."""
        self.turns.clock += 50 * DAY
        living = [one for one in self.accounts if self.lives(one)]
        for _ in range(2):
            self.turns.clock += 10 * MINUTE
            self.tick()
        for account in living:
            self.audit.demand(self.kept_alive(account), "R12: whatever becomes of other grants")

    def lives(self, account: str) -> bool:
        """Whether the provider takes the stored refresh token, and nobody has been told otherwise."""
        token = plain(self.grants.rows[account])
        problem = self.grants.accounts[account].problem
        return token in self.provider.live[account] and problem is None

    def _care(self) -> tuple[Tokens, Rescuing]:
        """The token care in a process that knows nothing, and its rescue queue."""
        now, keys = self.turns.now, partial(self._step, Service.KEYS)
        tables, vault = partial(self._step, Service.TABLES), services.Vault(keys)
        keeper = Keeper(self.grants, vault, vault, self.rescue, now)
        secrets: Any = services.Secrets(keys)
        refresher = Refresher(self.grants, self.connectors, secrets, keeper, now)
        links: Any = model.Authorizations(tables)
        telling = Telling(self.grants, links, self.events, lambda: "https://x", with_address=False, now=now)
        accounts: Any = model.Accounts(self.grants, tables)
        mailboxes = model.Mailboxes(self.grants, self.connectors, tables)
        stores = Stores(accounts, self.connectors, links, self.grants, mailboxes)
        providers: Any = SimpleNamespace(of=lambda _connector: self.provider)
        rescuing = Rescuing(stores, keeper, now)
        care = Tokens(stores, providers, refresher, rescuing, telling, lambda _: BEGIN + 1, now)
        return care, rescuing

    def _worker(self, job: Job, now: int) -> Worker:
        begin = now + job.after
        worker = Worker(lambda: None, begin, begin + job.time)
        worker.work = partial(self._work, worker, job)
        return worker

    def _alone(self, job: Job) -> None:
        self.turns.alone(self._worker(job, self.turns.clock))

    def _work(self, worker: Worker, job: Job) -> None:
        account, until = self.accounts[job.account], worker.ends_at
        care, rescuing = self._care()
        if job.kind is Kind.REPLACE:
            self.needs[worker] = self.grants.tokens[account].version
        if job.kind is Kind.USE:
            self.needs[worker] = 0
        try:
            if job.kind is Kind.REPLACE:
                care.ensure(account, failed_version=self.needs[worker], until=until)
                self._satisfied(worker, account)
            elif job.kind is Kind.USE:
                self._use(worker, care, account)
            elif job.kind is Kind.TICK:
                RefreshSchedule(care, rescuing, lambda _: None, lambda: None).run(until=until)
            else:
                care.refresh([account], until=until)
        except MailgrantError:
            pass
        self.audit.ended(worker)

    def _use(self, worker: Worker, care: Tokens, account: str) -> None:
        def ask(_: str, failed: int | None, _resource: str) -> None:
            care.ensure(account, failed_version=failed, until=worker.ends_at)

        vault = services.Vault(partial(self._step, Service.KEYS))
        before = self.grants.tokens[account]
        rows = SimpleNamespace(get=self.grants.access_token)
        try:
            AccessTokens(rows, vault.open, ask, self.turns.now).fresh(account)
        except Diagnosed:
            left = before.expires_at - self.turns.clock
            self.audit.demand(left < MINUTE, "R9: a token that lives is used when no newer one is to be had")
        else:
            self._satisfied(worker, account)

    def _satisfied(self, worker: Worker, account: str) -> None:
        """Without an error there is a token that is good."""
        token = self.grants.tokens[account]
        good = token.version > self.needs[worker] and token.expires_at > self.turns.clock
        self.audit.demand(good, "whoever asked without an error has a token")

    def _asked(self, account: str, presented: str) -> Post:
        worker = self.turns.current
        assert worker is not None
        row = self.grants.rows[account]
        owner, until = self.audit.leases.get(account, (None, 0))
        post = Post(worker, account, presented, until if owner is worker else row.lease_until, worker.paused)
        self.audit.asking(post)
        return post

    def _step(self, service: Service, what: str) -> None:
        self.steps[service] += 1
        fate = self.plan.faults.get((service, self.steps[service]))
        if fate is not None:
            self.faults += 1
            self._befall(fate, service, what)
        self.turns.step()
        throttled = service is Service.TABLES and self.turns.clock < self.throttled_until
        if throttled and not what.endswith("answer"):
            raise Unavailable("Throttled.", fix="Try again.")

    def _befall(self, fate: Fate, service: Service, what: str) -> None:
        if fate is Fate.DIE:
            self.turns.die()
        elif fate is Fate.FAIL:
            raise Unavailable(f"{what}: no answer", fix="Try again.")
        elif fate is Fate.REFUSE and what == "ask":
            raise Refused
        elif fate in {Fate.PAUSE, Fate.FREEZE}:
            self.turns.pause(PAUSE if fate is Fate.PAUSE else FREEZE)
        elif fate in {Fate.THROTTLE, Fate.OUTAGE}:
            self.throttled_until = self.turns.clock + (THROTTLE if fate is Fate.THROTTLE else OUTAGE)

    def _connected(self, account: str) -> str:
        """Connected just now; its mail was relayed since."""
        name = f"{account}@mail.example"
        self.grants.accounts[account] = Account(account, name, name, "con", BEGIN)
        sealer = services.Vault(lambda _: None).sealer(account)
        sealed = sealer.seal("refresh_token", 1, self.provider.new(account).encode())
        grant = Grant(
            account,
            version=1,
            refresh_token=sealed,
            scopes=("send",),
            identity=Identity("issuer", "subject", (name,)),
            granted_at=BEGIN,
            refreshed_at=BEGIN,
            refresh_due_at=BEGIN + 50 * MINUTE,
            due_reason=DueReason.EXPIRY,
        )
        access = sealer.seal("access_token", 1, b"access")
        self.grants.connect(grant, SealedToken(account, access, 1, BEGIN + HOUR, BEGIN))
        return account


class _InTurn:
    """In the place of a pool of threads: one after the other, in the thread of the worker."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @staticmethod
    def map(function: Callable[[str], bool], accounts: Iterable[str]) -> list[bool]:
        return [function(account) for account in accounts]


@contextmanager
def simulated_time(world: Simulation) -> Iterator[None]:
    """Waiting takes simulated time, and a pool of threads is one worker."""
    time = SimpleNamespace(sleep=lambda seconds: world.turns.sleep(int(seconds * SECOND)))
    with (
        patch.object(tokens, "time", time),
        patch.object(keeping, "time", time),
        patch.object(tokens, "ThreadPoolExecutor", _InTurn),
    ):
        yield
