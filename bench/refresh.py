"""What it takes to refresh tokens: calls to AWS, many at once, and the look for what is due."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.calls import counted
from chalicelib import clock, ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.world import World
    from chalicelib.wiring import Gateway

AT_ONCE = {1: 12, 10: 80, 50: 300}
"""How many at once → how many in all."""
DELAY = 0.2
"""Seconds that the provider takes to answer."""
DUE = 100
ACCOUNTS = (1_000, 100_000)
BATCH = 25
"""Rows that DynamoDB writes in one request."""


@dataclass(frozen=True)
class Refresh:
    """`per_minute` by how many at once, `reads` by how many accounts there are."""

    aws_calls: int
    operations: Mapping[str, int]
    per_minute: Mapping[int, float]
    reads: Mapping[int, int]

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
    """Refreshes by the body of the function `tokens`: as many threads of this process as `at_once` says."""
    gateway, connector = world.new_gateway(), world.connector()
    connected = [world.account(connector).id for _ in range(max(at_once))]
    versions = dict.fromkeys(connected, 1)
    _refresh(gateway, connected[0], versions)
    with counted(gateway) as made:
        _refresh(gateway, connected[0], versions)
    world.sandbox.provider.inject("token", delay=DELAY, times=None, grant_type="refresh_token")
    rates = {number: _rate(gateway, connected[:number], versions, total) for number, total in at_once.items()}
    world.sandbox.provider.clear_faults()
    return Refresh(made.total, made.operations, rates, _reads(world, accounts, due))


def _refresh(gateway: Gateway, account: str, versions: dict[str, int]) -> None:
    """As `relay` asks for it when a server refuses the token that is stored, which has that version."""
    event = {"account": account, "failed_version": versions[account]}
    answer = gateway.token_operations.run(event, until=clock.now() + clock.MINUTE)
    if answer:
        raise RuntimeError(f"not refreshed: {answer}")
    versions[account] += 1


def _rate(gateway: Gateway, accounts: Sequence[str], versions: dict[str, int], total: int) -> float:
    """Refreshes a minute, with a thread for each of the accounts."""
    each = max(1, total // len(accounts))

    def work(account: str) -> None:
        for _ in range(each):
            _refresh(gateway, account, versions)

    with ThreadPoolExecutor(len(accounts)) as pool:
        began = time.monotonic()
        list(pool.map(work, accounts))
        return each * len(accounts) / (time.monotonic() - began) * 60


def _reads(world: World, accounts: Sequence[int], due: int) -> dict[int, int]:
    """Requests of the look for what is due, of which nothing is refreshed: there is no time."""
    gateway, there, found = world.new_gateway(), 0, {}
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
        "refresh_shard": {"S": ids.shard_of(account)},
        "refresh_due_at": {"N": str(due_at)},
    }


def _batches(rows: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _put(gateway: Gateway, table: str, rows: Sequence[dict[str, Any]]) -> None:
    requests: Any = {table: [{"PutRequest": {"Item": row}} for row in rows]}
    left = gateway.clients.dynamodb.batch_write_item(RequestItems=requests)["UnprocessedItems"]
    if left:
        raise RuntimeError("the emulator did not take all rows")
