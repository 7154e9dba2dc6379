"""What it takes to refresh tokens: calls to AWS, many at once, and the look for what is due."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import processor
from bench.calls import counted
from chalicelib import clock, ids
from chalicelib.accounts.tokens.care import AT_ONCE as OF_ONE_PROCESS
from chalicelib.settings import Settings
from chalicelib.wiring import Gateway

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext
    from multiprocessing.synchronize import Barrier

    from bench.world import World

AT_ONCE = {1: 20, 10: 160, 50: 600}
"""How many at once → how many in all."""
DELAY = 0.2
"""Seconds that the provider takes to answer."""
DUE = 100
ACCOUNTS = (1_000, 100_000)
READY_SECONDS = 120.0
BATCH = 25
"""Rows that DynamoDB writes in one request."""


@dataclass(frozen=True)
class Rate:
    """Refreshes a minute, and the processor time of one (ms): ours, the emulator's, the provider's."""

    per_minute: float
    processor_ms: Mapping[str, float]


@dataclass(frozen=True)
class Refresh:
    """`rates` by how many at once, `reads` by how many accounts there are."""

    aws_calls: int
    operations: Mapping[str, int]
    rates: Mapping[int, Rate]
    reads: Mapping[int, int]

    @property
    def per_minute(self) -> dict[int, float]:
        """Refreshes a minute by how many at once."""
        return {at_once: rate.per_minute for at_once, rate in self.rates.items()}

    def to_json(self) -> dict[str, object]:
        """As results.json has it."""
        return {
            "aws_calls": self.aws_calls,
            "per_minute": {str(at_once): round(rate) for at_once, rate in self.per_minute.items()},
            "reads_per_tick": {str(accounts): reads for accounts, reads in self.reads.items()},
        }


def measure(
    world: World,
    at_once: Mapping[int, int] = AT_ONCE,
    accounts: Sequence[int] = ACCOUNTS,
    due: int = DUE,
) -> Refresh:
    """Refreshes by the body of the function `tokens`, against a provider that takes its time."""
    gateway, connector = world.new_gateway(), world.connector()
    connected = [world.account(connector).id for _ in range(max(at_once))]
    versions = dict.fromkeys(connected, 1)
    _refresh(gateway, versions, connected[0])
    with counted(gateway) as made:
        _refresh(gateway, versions, connected[0])
    world.sandbox.provider.inject("token", delay=DELAY, times=None, grant_type="refresh_token")
    rates = {number: _rate(connected[:number], versions, total) for number, total in at_once.items()}
    world.sandbox.provider.clear_faults()
    return Refresh(made.total, made.operations, rates, _reads(gateway, accounts, due))


def _refresh(gateway: Gateway, versions: dict[str, int], account: str) -> None:
    """As `relay` asks for it when a server refuses the token that is stored, which has that version."""
    event = {"account": account, "failed_version": versions[account]}
    answer = gateway.token_operations.run(event, until=clock.now() + clock.MINUTE)
    if answer:
        raise RuntimeError(f"not refreshed: {answer}")
    versions[account] += 1


def _rate(accounts: Sequence[str], versions: dict[str, int], total: int) -> Rate:
    """Refreshes each account as often as it takes for the total, all accounts at once.

    As in Lambda, no process has more of them at once than an invocation of `refresh` has.
    """
    number, each = -(-len(accounts) // OF_ONE_PROCESS), max(1, total // len(accounts))
    parts = [{account: versions[account] for account in accounts[one::number]} for one in range(number)]
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(number + 1, timeout=READY_SECONDS)
    told = [_begun(context, part, each, ready) for part in parts]
    ready.wait()
    began, before = time.monotonic(), processor.of_servers()
    done = [one.recv() for one in told]
    seconds, after = time.monotonic() - began, processor.of_servers()
    for part, _ in done:
        versions.update(part)
    taken = {name: after[name] - before[name] for name in before}
    taken["product"] = sum(ours for _, ours in done)
    count = each * len(accounts)
    return Rate(count / seconds * 60, {name: one / count * 1000 for name, one in taken.items()})


def _begun(context: SpawnContext, versions: dict[str, int], each: int, ready: Barrier) -> Connection:
    """Begins a process; what it returns is received from the connection (EOFError if it fails)."""
    ours, its = context.Pipe(duplex=False)
    context.Process(target=work, args=(versions, each, ready, its), daemon=True).start()
    its.close()
    return ours


def work(versions: dict[str, int], each: int, ready: Barrier, told: Connection) -> None:
    """In a process of its own: a thread for each account. Tells the new versions, and processor time (s).

    The first refresh of the process is not counted: it makes the clients.
    """
    gateway = Gateway(Settings.from_env())

    def serve(account: str) -> None:
        for _ in range(each):
            _refresh(gateway, versions, account)

    _refresh(gateway, versions, next(iter(versions)))
    ready.wait()
    before = time.process_time()
    with ThreadPoolExecutor(len(versions)) as threads:
        list(threads.map(serve, versions))
    told.send((versions, time.process_time() - before))


def _reads(gateway: Gateway, accounts: Sequence[int], due: int) -> dict[int, int]:
    """Requests of the look for what is due, of which nothing is refreshed: there is no time."""
    there, found = 0, {}
    for number in sorted(accounts):
        _add_grants(gateway, number - there, due if there == 0 else 0)
        there = number
        with counted(gateway) as made:
            left = gateway.tokens.refresh_due(until=clock.now())
        if len(left) != due:
            raise RuntimeError(f"{len(left)} accounts were due instead of {due}")
        found[number] = made.total
    return found


def _add_grants(gateway: Gateway, number: int, due: int) -> None:
    """Rows as the index of what is due sees them, a month from now but for those that are due."""
    now, name = clock.now(), gateway.settings.table("grants")
    times = [now - 1] * due + [now + 30 * clock.DAY] * (number - due)
    rows = [_grant(ids.new_id("acc"), at) for at in times]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda batch: _put(gateway, name, batch), _batches(rows)))


def _grant(account: str, due_at: int) -> dict[str, Any]:
    return {
        "account": {"S": account},
        "refresh_shard": {"S": ids.grant_shard_of(account)},
        "refresh_due_at": {"N": str(due_at)},
    }


def _batches(rows: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _put(gateway: Gateway, table: str, rows: Sequence[dict[str, Any]]) -> None:
    requests: Any = {table: [{"PutRequest": {"Item": row}} for row in rows]}
    left = gateway.clients.dynamodb.batch_write_item(RequestItems=requests)["UnprocessedItems"]
    if left:
        raise RuntimeError("the emulator did not take all rows")
