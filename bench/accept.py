"""What it takes to accept a message: by the body of the function `send`, in a process that is warm."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from bench.calls import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.calls import Calls
    from bench.world import World

LARGE = 20_000
"""Characters of a message that is too long for a row."""

ARN = "arn:aws:lambda:eu-west-1:000000000000:function:mailgrant-bench-send"


@dataclass(frozen=True)
class Accept:
    """Calls to AWS for one message, and how long it took (ms); `operations` are those of an idle account.

    `first` is the first message of a process, which reads the caller, the account and the connector.
    """

    idle: int
    busy: int
    idle_large: int
    first: int
    p50: float
    p99: float
    operations: Mapping[str, int]

    def to_json(self) -> dict[str, float]:
        """As results.json has it."""
        return {
            "aws_calls_idle": self.idle,
            "aws_calls_busy": self.busy,
            "p50_ms": round(self.p50, 1),
            "p99_ms": round(self.p99, 1),
        }


def measure(world: World, n: int = 300) -> Accept:
    """Counts the calls for an account that nobody serves, and for one that a worker is at; times n more."""
    gateway, account = world.new_gateway(), world.account(world.connector()).id
    operations = gateway.send_operations

    def calls(size: int = 1_000) -> Calls:
        with counted(gateway) as made:
            operations.run(message(account, size), function_arn=ARN)
        return made

    first, idle, large = calls(), calls(), calls(LARGE)
    gateway.lane.take(account, "wrk_bench", slots=1)
    busy = calls()
    times = [timed(lambda: operations.run(message(account, 1_000), function_arn=ARN)) for _ in range(n)]
    p99 = quantiles(times, n=100)[98]
    return Accept(idle.total, busy.total, large.total, first.total, median(times), p99, idle.operations)


def message(account: str, size: int) -> dict[str, Any]:
    """A message whose text has that many characters."""
    text = ("This line has sixty-four characters, and so have all the others\n" * (size // 64 + 1))[:size]
    return {"account": account, "to": ["bob@example.net"], "subject": "Figures", "text": text}


def timed(work: Callable[[], object]) -> float:
    """How long the work took, in milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
