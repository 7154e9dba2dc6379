"""Kills real relay processes with SIGKILL at random steps, and counts what that did to the mail.

``python -m tests.soak.relay [N]`` kills N workers (2,000) in batches, each with a mailbox of its own. Two
workers serve the mailbox at once; after they have died the clock goes forward, so that their leases and
claims end, and the next two go on. Of the two, one dies anywhere, and one where the fewest have died so far
of the places that matter. A batch ends with visits that nobody kills. The mail server's own log says what
arrived. In the end it says at which places workers were killed.

Exit status 1 when something was lost or doubled in silence, or a run of a batch or more left out a place that
matters; 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from chalicelib import clock
from chalicelib.mail.models import FINAL
from chalicelib.mail.shown import may_be_duplicate
from chalicelib.secret import Secret
from chalicelib.settings import Settings
from chalicelib.wiring import Gateway
from sandbox.cast import Cast
from sandbox.stack import Sandbox

if TYPE_CHECKING:
    from chalicelib.callers.models import Caller
    from chalicelib.mail.models import Message

ROOT = Path(__file__).resolve().parents[2]
KILLS = 2_000
IN_A_BATCH = 100
WAITING = 6
"""How many messages are due when two workers begin."""
MOST_STEPS = 150
"""A step is drawn from so many: some workers end before theirs."""
MOST_STEPS_THERE = 4
"""As before, where only the steps at one place count."""
LEASES_END = 6 * clock.MINUTE
LONGEST_WAIT = 3 * clock.HOUR + clock.MINUTE
"""The longest wait of a message between two attempts."""
MOST_DRAINS = 50
EXPIRES_IN = 432_000
SLOWED = (
    ("MAIL", "before_store"),
    ("RCPT", "before_store"),
    ("DATA", "before_store"),
    ("DOT", "before_store"),
    ("DOT", "after_store"),
)
"""Commands at which the mail server waits."""
LONGEST_DELAY = 0.03
COVERED = (
    "LanesTable.take",
    "LanesTable.give_back",
    "MessagesTable.due",
    "MessagesTable.claim",
    "MessagesTable.commit",
    "MessagesTable.finish",
    "MessagesTable.next_due",
    "Wire.authenticate",
    "Wire.sender",
    "Wire.recipient",
    "Wire.begin_body",
    "Wire.body",
    "Wire.dot",
)
"""Each must have been somebody's last place, however rarely a worker comes there."""
CHANCE = secrets.SystemRandom()
Death = tuple[str | None, int]
"""Where a worker dies, or None for anywhere, and at which of its steps there."""


@dataclass
class Workers:
    """The process that workers are forked from."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, sandbox: Sandbox, log: IO[str]) -> Self:
        """Imports everything once."""
        command = [sys.executable, "-m", "tests.soak._visits"]
        environment = {"PATH": os.defpath, **sandbox.environment}
        pipe = subprocess.PIPE
        return cls(
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True
            )
        )

    def visit(self, account: str, ahead: int, die_at: list[Death]) -> list[str]:
        """Lets workers serve the account; at what they were killed. A worker that fails ends the run."""
        if self.process.stdin is None or self.process.stdout is None:
            raise ValueError("the process was started without pipes")
        order = {"account": account, "ahead": ahead, "die_at": die_at}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        ended: list[tuple[int, str]] = json.loads(self.process.stdout.readline())
        if any(status > 0 for status, _ in ended):
            raise RuntimeError("a worker failed by itself; its log says why")
        return [place for status, place in ended if status < 0]

    def stop(self) -> None:
        """Ends the process, by the end of its orders."""
        self.process.communicate()


class Batch:
    """One mailbox whose workers are killed, and what came of its mail."""

    def __init__(self, sandbox: Sandbox, workers: Workers, places: Counter[str]) -> None:
        self._sandbox = sandbox
        self._places = places
        self._workers = workers
        # An hour ahead from the start: the deployed relay sees nothing that is due.
        self._ahead = clock.HOUR
        self._gateway = Gateway(Settings.from_env(sandbox.environment), clock=self._now)
        self._gateway.lane.wake = lambda *_: True  # type: ignore[method-assign]
        self._caller: Caller = self._gateway.callers.by_key(Secret(sandbox.key))
        account = Cast(sandbox).connected("microsoft", f"soak-{secrets.token_hex(4)}@example.com")
        self._account: str = account["id"]
        self._address: str = account["address"]
        self._accepted: list[str] = []

    def run(self, kills: int) -> Counter[str]:
        """What was counted, after at least so many kills."""
        counted: Counter[str] = Counter()
        while counted["killed"] < kills:
            self._accept()
            self._slow_down()
            deaths = [(None, CHANCE.randint(1, MOST_STEPS)), self._rare()]
            CHANCE.shuffle(deaths)
            killed = self._visit(deaths)
            self._places.update(killed)
            counted.update(killed=len(killed), workers=len(deaths))
            self._ahead += LEASES_END
        self._drain()
        return counted + self._judged()

    def _now(self) -> int:
        return clock.now() + self._ahead

    def _rare(self) -> Death:
        """Somewhere at one of the places where the fewest have died."""
        fewest = min(self._places[place] for place in COVERED)
        place = CHANCE.choice([place for place in COVERED if self._places[place] == fewest])
        return place, CHANCE.randint(1, MOST_STEPS_THERE)

    def _visit(self, die_at: list[Death]) -> list[str]:
        return self._workers.visit(self._account, self._ahead, die_at)

    def _accept(self) -> None:
        """Hands in as much as is missing from WAITING due messages."""
        due = len(self._gateway.messages_table.due(self._account, self._now(), WAITING))
        for _ in range(WAITING - due):
            key = str(len(self._accepted))
            letter = {
                "account": self._account,
                "to": ["charles@example.net"],
                "subject": f"Letter {key}",
                "text": "A line of some length.\n" * CHANCE.choice((1, 40, 900)),
                "expires_in": EXPIRES_IN,
            }
            self._accepted.append(self._gateway.send.accept(self._caller, letter, idempotency_key=key).id)

    def _slow_down(self) -> None:
        """Makes the mail server wait a little at one command."""
        self._sandbox.mail.clear_faults()
        command, when = CHANCE.choice(SLOWED)
        delay = CHANCE.uniform(0.001, LONGEST_DELAY)
        self._sandbox.mail.inject(command, "delay", delay=delay, when=when, times=None)

    def _drain(self) -> None:
        """Serves what is left until nothing waits; what waits after MOST_DRAINS visits is counted as lost."""
        for _ in range(MOST_DRAINS):
            self._ahead += LEASES_END
            self._visit([(None, 0)])
            if self._gateway.messages_table.next_due(self._account) is None:
                return
            self._ahead += LONGEST_WAIT

    def _judged(self) -> Counter[str]:
        log: list[Any] = [entry for entry in self._sandbox.mail.log() if entry["user"] == self._address]
        copies = Counter(entry["message_id"] for entry in log)
        bodies = {(entry["message_id"], entry["sha256"]) for entry in log}
        if len(bodies) != len(copies):
            raise RuntimeError("two copies of one message differ")
        judged: Counter[str] = Counter()
        for message_id in self._accepted:
            message = self._gateway.messages_table.get(self._account, message_id)
            judged.update(accepted=1, **judge(message, copies))
        return judged


def judge(message: Message | None, copies: Counter[str]) -> dict[str, int]:
    """What became of one accepted message.

    Lost: not in a final state, or not one copy with the mail server. Doubled in silence: more copies than
    the attempts whose outcome is `unknown` on record explain, or a record that does not say that there may
    be two.
    """
    if message is None:
        return {"lost": 1}
    arrived = copies[message.message_id]
    unknown = sum(attempt.outcome == "unknown" for attempt in message.attempts)
    silent = arrived > 1 and (arrived > 1 + unknown or not may_be_duplicate(message))
    return {
        "unknown": unknown,
        "lost": int(arrived == 0 or message.state not in FINAL),
        "doubled": int(arrived > 1),
        "silent": int(silent),
    }


def soak(sandbox: Sandbox, kills: int) -> tuple[Counter[str], Counter[str]]:
    """All batches: what was counted, and how many workers were killed at which step."""
    began = time.monotonic()
    counted: Counter[str] = Counter()
    places: Counter[str] = Counter()
    with (sandbox.directory / "workers.log").open("w") as log:
        workers = Workers.start(sandbox, log)
        try:
            while counted["killed"] < kills:
                counted += Batch(sandbox, workers, places).run(min(IN_A_BATCH, kills - counted["killed"]))
                print(f"  {shown(counted)} ({time.monotonic() - began:.0f} s)", flush=True)
        finally:
            workers.stop()
    return counted, places


def shown(counted: Counter[str]) -> str:
    """The counts as a line."""
    return (
        f"{counted['killed']} of {counted['workers']} workers killed, "
        f"{counted['accepted']} messages accepted, {counted['unknown']} attempts unknown; "
        f"{counted['lost']} lost, {counted['doubled']} doubled, {counted['silent']} doubled in silence"
    )


def failed(counted: Counter[str], places: Counter[str]) -> bool:
    """Whether a promise was broken, or the kills were no test of it."""
    missed = [place for place in COVERED if not places[place]]
    if missed:
        print(f"Nobody was killed at {', '.join(missed)}.")
    broken = counted["lost"] or counted["silent"]
    return bool(broken or (missed and counted["killed"] >= IN_A_BATCH))


def main() -> int:
    """The exit status."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"Killing {kills} relays with SIGKILL", flush=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="mailgrant-soak-") as directory,
            Sandbox(Path(directory), say=lambda _: None) as sandbox,
        ):
            # boto3 reads the endpoint from there.
            os.environ.update(sandbox.environment)
            counted, places = soak(sandbox, kills)
    except KeyboardInterrupt:
        print("Stopped before the end.")
        return 130
    for place, times in places.most_common():
        print(f"  {times:5} killed at {place}")
    print(f"Relay: {shown(counted)} ({time.monotonic() - began:.0f} s).")
    return int(failed(counted, places))


if __name__ == "__main__":
    sys.exit(main())
