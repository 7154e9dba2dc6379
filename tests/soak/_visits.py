"""Visits of real relay processes that die of SIGKILL, each a fork of this process, which has imported all.

``python -m tests.soak._visits`` reads one JSON object a line, ``{"account", "ahead", "die_at": [step, …]}``:
it lets as many workers serve the account at once, with their clock put forward by `ahead` milliseconds, and
answers with a line that holds their exit statuses. A worker dies at its given step: before, in the middle of
or after something that it says to AWS or to the mail server, or hears from them. Step 0 lets it live.

Access tokens are used by the true time, since the provider's clock is not put forward.
"""

from __future__ import annotations

import json
import os
import random
import signal
import ssl
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any

from botocore.httpsession import URLLib3Session

from chalicelib import clock
from chalicelib.accounts.access import AccessTokens
from chalicelib.settings import Settings
from chalicelib.transports.smtp.wire import Wire
from chalicelib.wiring import Gateway

VISIT = 15 * clock.MINUTE
"""How long a worker may live."""


class Steps:
    """Counts what a worker does outside of itself, and kills it at one of these steps."""

    def __init__(self) -> None:
        self.taken = 0
        self.last = 0

    def __call__(self) -> None:
        """One step."""
        self.taken += 1
        if self.taken == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, does: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a step before and one after it."""

        def stepping(*arguments: Any, **named: Any) -> Any:
            self()
            result = does(*arguments, **named)
            self()
            return result

        return stepping

    def halving(self, sends: Callable[..., Any]) -> Callable[..., Any]:
        """A function that sends bytes with a step before, in the middle and after."""

        def stepping(connection: ssl.SSLSocket, data: bytes, *flags: int) -> None:
            half = len(data) // 2
            self()
            sends(connection, data[:half], *flags)
            self()
            sends(connection, data[half:], *flags)
            self()

        return stepping


def instrumented() -> Steps:
    """Counts every request to AWS, and everything said to or heard from a mail server over TLS."""
    steps = Steps()
    for owner, name, how in (
        (URLLib3Session, "send", steps.around),
        (Wire, "getreply", steps.around),
        (ssl.SSLSocket, "sendall", steps.halving),
    ):
        setattr(owner, name, how(getattr(owner, name)))
    return steps


class Nursery:
    """Forks workers from one Gateway whose clients have no connection yet."""

    def __init__(self) -> None:
        self._ahead = 0
        self._steps = instrumented()
        self._gateway = Gateway(Settings.from_env(), clock=self._now)
        gateway = self._gateway
        gateway.__dict__["access_tokens"] = AccessTokens(
            gateway.access_tokens_table, gateway.access_tokens_vault.open, gateway.functions.tokens
        )
        # What a Lambda environment does while it starts, done once for all.
        self._relay, _ = gateway.relay, gateway._tls

    def visits(self, account: str, ahead: int, die_at: list[int]) -> list[int]:
        """The exit statuses of workers that served the account at once; negative for a signal."""
        self._ahead = ahead
        workers = [self._worker(account, last) for last in die_at]
        return [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]

    def _worker(self, account: str, last: int) -> int:
        if worker := os.fork():
            return worker
        status = 1
        try:
            random.seed()
            self._steps.last = last
            self._relay.run(account, until=self._now() + VISIT)
            status = 0
        except BaseException:  # noqa: BLE001 - a child must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _now(self) -> int:
        return clock.now() + self._ahead


def main(orders: IO[str], answers: IO[str]) -> None:
    """Serves until the orders end."""
    nursery = Nursery()
    for order in orders:
        statuses = nursery.visits(**json.loads(order))
        answers.write(json.dumps(statuses) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
