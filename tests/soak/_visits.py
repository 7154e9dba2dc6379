"""Visits of real relay processes that die of SIGKILL, each a fork of this process, which has imported all.

``python -m tests.soak._visits`` reads one JSON object a line:
``{"account", "ahead", "die_at": [[place, step], …]}``. It lets as many workers serve the account at once,
with their clock put forward by `ahead` milliseconds, and answers with a line that holds for each its exit
status and what it was killed at. A worker dies at its given step: before, in the middle of or after something
that it says to AWS or to the mail server, or hears from them. Where a place is named, as ``LanesTable.take``,
only the steps there count. Step 0 lets it live.

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
from inspect import isfunction
from typing import IO, Any

from botocore.httpsession import URLLib3Session

from chalicelib import clock
from chalicelib.accounts.tokens.access import AccessTokens
from chalicelib.aws.blobs import Bucket
from chalicelib.aws.tables.access_tokens import AccessTokensTable
from chalicelib.aws.tables.accounts import AccountsTable
from chalicelib.aws.tables.callers import CallersTable
from chalicelib.aws.tables.connectors import ConnectorsTable
from chalicelib.aws.tables.lanes import LanesTable
from chalicelib.aws.tables.messages import MessagesTable
from chalicelib.aws.vault import Vault
from chalicelib.aws.wakeups import WakeupQueue
from chalicelib.settings import Settings
from chalicelib.transports.smtp.wire import Wire
from chalicelib.wiring import Gateway

VISIT = 15 * clock.MINUTE
"""How long a worker may live."""


NAMED = (
    AccessTokensTable,
    AccountsTable,
    Bucket,
    CallersTable,
    ConnectorsTable,
    LanesTable,
    MessagesTable,
    Vault,
    WakeupQueue,
    Wire,
)
OTHER = "other"
"""What is said to AWS outside of the NAMED."""


class Steps:
    """Counts what a worker does outside of itself, and kills it at one of these steps."""

    def __init__(self) -> None:
        self.taken = 0
        self.last = 0
        self.place: str | None = None
        """What it is killed at; None for whatever it is doing."""
        self.told = -1
        """A file descriptor to which it writes where it is, before it is killed."""
        self._doing = OTHER

    def __call__(self) -> None:
        """One step."""
        self.taken += self.place in {None, self._doing}
        if self.taken == self.last > 0:
            os.write(self.told, self._doing.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def name(self, owner: type) -> None:
        """Has the public methods of a class say what is being done."""
        for name, does in list(vars(owner).items()):
            if isfunction(does) and not name.startswith("_") and name != "getreply":
                setattr(owner, name, self._naming(f"{owner.__name__}.{name}", does))

    def _naming(self, what: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def naming(*arguments: Any, **named: Any) -> Any:
            before, self._doing = self._doing, what
            try:
                return does(*arguments, **named)
            finally:
                self._doing = before

        return naming

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
    for named in NAMED:
        steps.name(named)
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
        self._relay, _ = gateway.relay, gateway.tls

    def visits(self, account: str, ahead: int, die_at: list[tuple[str | None, int]]) -> list[tuple[int, str]]:
        """For workers that served the account at once, the exit statuses, negative for a signal, and what
        they were killed at.
        """
        self._ahead = ahead
        workers = [self._worker(account, place, last) for place, last in die_at]
        return [_ended(*worker) for worker in workers]

    def _worker(self, account: str, place: str | None, last: int) -> tuple[int, int]:
        """Its process id, and where to read what it was killed at."""
        heard, told = os.pipe()
        if worker := os.fork():
            os.close(told)
            return worker, heard
        status = 1
        try:
            random.seed()
            self._steps.place, self._steps.last, self._steps.told = place, last, told
            self._relay.run(account, until=self._now() + VISIT)
            status = 0
        except BaseException:  # noqa: BLE001 - a child must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _now(self) -> int:
        return clock.now() + self._ahead


def _ended(worker: int, heard: int) -> tuple[int, str]:
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with os.fdopen(heard) as place:
        return status, place.read()


def main(orders: IO[str], answers: IO[str]) -> None:
    """Serves until the orders end."""
    nursery = Nursery()
    for order in orders:
        answers.write(json.dumps(nursery.visits(**json.loads(order))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
