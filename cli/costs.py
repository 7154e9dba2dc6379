"""What mail, mailboxes and a stage cost at AWS: measured constants times a table of prices.

Calls, rows and times are those of the last ``make bench`` (bench/units.json), prices are those of
bench/prices.json. What is not measured stands below with its reason. Everything is rounded upwards: each mail
has a session of its own, each row is as long as the longest, and nothing is free.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chalicelib import clock
from chalicelib.health import EVERY
from chalicelib.mail.models import KEPT
from chalicelib.mail.send import INLINE
from chalicelib.metrics import FIGURES, STAGE_AND_PROVIDER
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT: Final = Path(__file__).resolve().parents[1]

MONTH: Final = 730 * clock.HOUR
"""A month as AWS bills it, in milliseconds."""

FULL_CPU: Final = 1769
"""MiB of memory with which a function gets one whole processor, as bench has; with less it takes longer."""

ASSUMED: Final = {
    "smtp_ms": (1500, "TLS, sign-in and handing over at the provider's mail server, by mail"),
    "provider_ms": (300, "the provider's answer to a refresh"),
    "cold_start_ms": (500, "a function's start, twice what bench measures on a whole processor"),
    "cold_starts": (0.2, "share of calls that start a function; a busy stage has fewer"),
    "tick_ms": (100, "a schedule that finds nothing to do"),
    "mail_log_bytes": (4000, "what the log keeps of one mail, Lambda's own lines included"),
    "log_bytes": (1500, "what the log keeps of one refresh or one run of a schedule"),
}
"""What no bench can measure → value, and what it stands for."""

LEFT_OUT: Final = (
    "free tiers, taxes, support plans and prices of other regions",
    "sign-ins, tests of an account, and reading messages or lists over HTTP",
    "further attempts of a mail that a server puts off, and mails that are sent again",
    "logs that are kept after the first month, and what a query reads of them",
    "$1 a month more for each of the first two rotations of a key",
    "a NAT gateway and its traffic, where functions are put into a VPC",
    "mails and messages of the alarms' topic, and what rules on the event bus call",
    "anything in front of the API, such as CloudFront, a firewall or a domain",
    "restored tables, exports and backups of your own",
)
"""What is in none of the sums."""

INDEX_UNITS: Final = {"messages": 3, "lanes": 2, "grants": 2}
"""Write units of a table's indexes for each write: an entry that moves is taken away and put again.

Of a message: 3 when it is stored, 2 and 2 while its attempt goes on, 5 when it ends in the lists."""

TICKS: Final[dict[str, dict[str, int]]] = {
    "relay_due": {"dynamodb.Query:lanes": 32, "dynamodb.PutItem:schedules": 1},
    "refresh_tokens": {
        "sqs.ReceiveMessage": 1,
        "dynamodb.Query:grants": 5,
        "dynamodb.PutItem:schedules": 1,
    },
}
"""What a run of each schedule asks of AWS when there is nothing to do."""

TRIGGER: Final = 2
"""Requests to SQS by which Lambda takes one wake-up and deletes it."""

POLLS: Final = 5 * MONTH // (20 * clock.SECOND)
"""Requests a month of a queue's trigger while nothing comes: five pollers, each asking every 20 seconds."""

PROVIDERS: Final = (MICROSOFT, GOOGLE)
"""Whose mailboxes are counted. Others, of which less is known, are refreshed once a week."""

IDLE_REFRESHES: Final = MONTH / clock.SECOND / min(facts.keep_alive for facts in PROVIDERS)
"""Refreshes a month of a mailbox of which no mail is sent."""

HOURLY: Final = MONTH // clock.HOUR
"""The most refreshes a month: an access token lives for an hour or more."""

LISTENING: Final = ("relay", "refresh")
"""The queues that wake a function."""

KEYS: Final = 2


@dataclass(frozen=True)
class Costs:
    """In US dollars. `memory` is MiB by function, `alarms` how many there are."""

    prices: Mapping[str, Any]
    units: Mapping[str, Any]
    memory: Mapping[str, int]
    alarms: int

    @classmethod
    def read(cls, project: Path = PROJECT) -> Costs:
        """Those of the project's own files."""
        config = json.loads((project / ".chalice" / "config.json").read_text())
        functions = config["stages"]["package"]["lambda_functions"]
        usual = config["lambda_memory_size"]
        memory = {name: facts.get("lambda_memory_size", usual) for name, facts in functions.items()}
        health = "".join(path.read_text() for path in (project / ".chalice").glob("health*.yaml"))
        return cls(
            json.loads((project / "bench" / "prices.json").read_text()),
            json.loads((project / "bench" / "units.json").read_text()),
            memory,
            health.count("Type: AWS::CloudWatch::Alarm"),
        )

    def mail(self, size: int) -> dict[str, float]:
        """What one mail of that many bytes costs, by step, handed in by invoking `send`."""
        wake_up = TRIGGER * self._million["sqs_requests"] / 1e6
        relaying = self._run("relay", self._milliseconds["relay"], _assumed("smtp_ms"))
        return {
            "accept": self._asked("accept", size) + self._run("send", self._milliseconds["accept"]),
            "relay": self._asked("relay", size) + wake_up + relaying,
            "bytes in the bucket": self._blob(size) if size > INLINE else 0.0,
            "bytes to the mail server": _gigabytes(size) * self.prices["transfer_gb"],
            "record for a month": self._kept(self._row("messages", size)),
            "log": self._logged("mail_log_bytes"),
        }

    @property
    def http(self) -> float:
        """What a mail costs besides when it is handed in over HTTP."""
        return self._million["api_requests"] / 1e6

    @property
    def refresh(self) -> float:
        """What one refresh costs, while a relay waits for it."""
        took, waits = self._milliseconds["refresh"], _assumed("provider_ms")
        waiting = self._run("relay", took, waits) - self._run("relay", 0)
        secret = _assumed("cold_starts") * self._million["secretsmanager_requests"] / 1e6
        ours = self._asked("refresh", 0) + self._run("tokens", took, waits)
        return ours + secret + waiting + self._logged("log_bytes")

    def mailbox(self, mails: float) -> dict[str, float]:
        """What a mailbox costs in a month in which it sends so many mails, besides the mails."""
        rows = sum(self._row(table, 0) for table in ("accounts", "access-tokens", "grants", "lanes"))
        # A mail may find its token used up, and the schedule refreshes once more the one of a mailbox in use.
        refreshes = IDLE_REFRESHES + min(2 * mails, HOURLY)
        return {"refreshes": refreshes * self.refresh, "rows": self._kept(rows)}

    @cached_property
    def fixed(self) -> dict[str, float]:
        """What a stage with one connector costs in a month in which nothing happens."""
        month = self.prices["month"]
        metrics = sum(len(PROVIDERS) if by == STAGE_AND_PROVIDER else 1 for _, by in FIGURES.values())
        return {
            "keys": KEYS * month["kms_key"],
            "secret of a connector": month["secret"],
            "schedules": sum(MONTH / EVERY[name] * self._tick(name) for name in TICKS),
            "queues": len(LISTENING) * POLLS * self._million["sqs_requests"] / 1e6,
            "alarms": self.alarms * month["alarm"],
            "metrics": metrics * month["metric"],
            "dashboard": month["dashboard"],
        }

    def _tick(self, schedule: str) -> float:
        asked = sum(count * self._call(operation, 0) for operation, count in TICKS[schedule].items())
        return asked + self._run(schedule, 0, _assumed("tick_ms")) + self._logged("log_bytes")

    def _asked(self, step: str, size: int) -> float:
        """What the calls of a step cost."""
        operations = self.units["operations"][step].items()
        return float(sum(count * self._call(operation, size) for operation, count in operations))

    def _call(self, operation: str, size: int) -> float:
        service, _, rest = operation.partition(".")
        verb, _, table = rest.partition(":")
        if service == "dynamodb":
            return self._table_call(verb, table, size)
        kind = {"s3": "s3_puts" if verb == "PutObject" else "s3_gets"}.get(service, f"{service}_requests")
        return float(self._million[kind]) / 1e6

    def _table_call(self, verb: str, table: str, size: int) -> float:
        if verb in ("GetItem", "BatchGetItem", "Query"):
            units = 1 if verb == "Query" else math.ceil(self._row(table, size) / 4096)
            return units * float(self._million["dynamodb_read_units"]) / 1e6
        twice = 2 if verb == "TransactWriteItems" else 1
        units = twice * math.ceil(self._row(table, size) / 1024) + INDEX_UNITS.get(table, 0)
        return units * float(self._million["dynamodb_write_units"]) / 1e6

    def _run(self, function: str, computing: float, waiting: float = 0) -> float:
        """One invocation (milliseconds), with its share of cold starts; only computing needs a processor."""
        slower = max(1, FULL_CPU / self.memory[function])
        starting = _assumed("cold_starts") * _assumed("cold_start_ms")
        seconds = (computing * slower + waiting + starting) / clock.SECOND
        requests = float(self._million["lambda_requests"]) / 1e6
        return requests + seconds * self.memory[function] / 1024 * float(self.prices["lambda_gb_second"])

    def _blob(self, size: int) -> float:
        stored = KEPT / MONTH * _gigabytes(size) * float(self.prices["month"]["s3_gb"])
        return stored + (float(self._million["s3_puts"]) + float(self._million["s3_gets"])) / 1e6

    def _row(self, table: str, size: int) -> int:
        body = size if table == "messages" and size <= INLINE else 0
        return int(self.units["row_bytes"].get(table, 1024)) + body

    def _kept(self, octets: float) -> float:
        """A month in a table and its backups."""
        month = self.prices["month"]
        return _gigabytes(octets) * float(month["dynamodb_gb"] + month["dynamodb_backup_gb"])

    def _logged(self, octets: str) -> float:
        return _gigabytes(_assumed(octets)) * float(self.prices["log_gb"])

    @property
    def _million(self) -> Mapping[str, float]:
        return self.prices["per_million"]  # type: ignore[no-any-return]

    @property
    def _milliseconds(self) -> Mapping[str, float]:
        return self.units["milliseconds"]  # type: ignore[no-any-return]


def _assumed(name: str) -> float:
    return ASSUMED[name][0]


def _gigabytes(octets: float) -> float:
    return octets / 2**30


def answer(costs: Costs, mails: int, mailboxes: int, size: int) -> dict[str, Any]:
    """The costs: of 1,000 mails and mailboxes, and of the month that is asked for."""
    mail, each = costs.mail(size), mails / mailboxes if mailboxes else 0
    mailbox, fixed = costs.mailbox(each), sum(costs.fixed.values())
    return {
        "region": costs.prices["region"],
        "prices_of": costs.prices["date"],
        "per_1000_mails": _thousand(mail),
        "per_1000_mails_over_http": {"all": _rounded(1000 * (costs.http + sum(mail.values())))},
        "per_1000_idle_mailboxes_a_month": _thousand(costs.mailbox(0)),
        "per_1000_mailboxes_a_month": _thousand(mailbox),
        "fixed_a_month": {name: _rounded(cost) for name, cost in costs.fixed.items()}
        | {"all": _rounded(fixed)},
        "month": {
            "mails": mails,
            "mailboxes": mailboxes,
            "size": size,
            "all": _rounded(fixed + mails * sum(mail.values()) + mailboxes * sum(mailbox.values())),
        },
        "assumed": {name: value for name, (value, _) in ASSUMED.items()},
        "left_out": list(LEFT_OUT),
    }


def _thousand(parts: Mapping[str, float]) -> dict[str, float]:
    """The parts and their sum, for a thousand."""
    return {name: _rounded(1000 * part) for name, part in (*parts.items(), ("all", sum(parts.values())))}


def _rounded(dollars: float) -> float:
    """Dollars to a hundredth of a cent."""
    return round(dollars, 4)
