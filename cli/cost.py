"""``./mailgrant cost``: what mail and mailboxes cost at AWS, from measured constants and a table of prices.

The constants are those of the last ``make bench`` (bench/units.json). Everything is rounded upwards: each
mail has a session of its own, nothing is free, and no row is shorter than the longest.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from chalicelib.metrics import FIGURES, STAGE_AND_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = Path(__file__).resolve().parents[1]

INLINE = 8 * 1024
"""Bytes up to which a message stands in its row (chalicelib.mail.send)."""

INDEX_UNITS = {"messages": 2, "lanes": 2, "grants": 2}
"""Write units of a table's indexes for each write: an entry that moves is taken away and put again."""

MONTH = 730 * 3600
"""Seconds of a month."""

KEPT_MONTHS = 1
"""How long the record of a message is kept."""

IDLE_REFRESHES = 30 / 45
"""Refreshes a month of a mailbox of which no mail is sent: every 45 days."""

HOURLY = 730
"""The most refreshes a month: an access token lives for an hour or more."""

POLLS = 5 * 3 * 60 * 730
"""Requests a month of one queue's trigger: five pollers, each of which asks every 20 seconds."""

TICKS = {"relay_due": MONTH / 60, "refresh_tokens": MONTH / 300}
"""How often a schedule wakes a function in a month."""

PROVIDERS = 2
KEYS = 2
QUEUES = 2
SHARDS = 4


@dataclass(frozen=True)
class Costs:
    """Prices, what was measured, and MiB of memory by function."""

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
        health = (project / ".chalice" / "health.yaml").read_text()
        return cls(
            json.loads((project / "bench" / "prices.json").read_text()),
            json.loads((project / "bench" / "units.json").read_text()),
            memory,
            health.count("Type: AWS::CloudWatch::Alarm"),
        )

    def mail(self, size: int) -> dict[str, float]:
        """What one mail of that many bytes costs, by step, handed in by a function's invocation."""
        return {
            "accept": self._asked("accept", size) + self._run("send", self._milliseconds["accept"]),
            "relay": self._asked("relay", size)
            + self._run("relay", self._milliseconds["relay"] + self._assumed["smtp_ms"]),
            "long body": self._blob(size) if size > INLINE else 0.0,
            "record": self._gigabytes(self._row("messages", size)) * self.prices["month"]["dynamodb_gb"],
            "log": self._gigabytes(self._assumed["log_bytes"]) * self.prices["log_gb"],
        }

    @property
    def http(self) -> float:
        """What a mail costs besides when it is handed in over HTTP."""
        return self._million["api_requests"] / 1e6

    @property
    def refresh(self) -> float:
        """What one refresh costs."""
        took = self._milliseconds["refresh"] + self._assumed["provider_ms"]
        return self._asked("refresh", 0) + self._run("tokens", took)

    def mailbox(self, mails: float) -> dict[str, float]:
        """What a mailbox costs in a month in which it sends so many mails, besides the mails."""
        rows = sum(self._row(table, 0) for table in ("accounts", "access-tokens", "grants", "lanes"))
        # A mail may find its token used up, and the schedule refreshes once more the one of a mailbox in use.
        refreshes = IDLE_REFRESHES + min(2 * mails, HOURLY)
        return {
            "refreshes": refreshes * self.refresh,
            "rows": self._gigabytes(rows) * self.prices["month"]["dynamodb_gb"],
        }

    @cached_property
    def fixed(self) -> dict[str, float]:
        """What a stage with one connector costs in a month in which nothing happens."""
        month, read = self.prices["month"], self._million["dynamodb_read_units"] / 1e6
        metrics = sum(PROVIDERS if by == STAGE_AND_PROVIDER else 1 for _, by in FIGURES.values())
        ticks = sum(count * (SHARDS * read + self._run(function, 100)) for function, count in TICKS.items())
        return {
            "keys": KEYS * month["kms_key"],
            "secret of a connector": month["secret"],
            "schedules": ticks,
            "queues that are listened to": QUEUES * POLLS * self._million["sqs_requests"] / 1e6,
            "alarms": self.alarms * month["alarm"],
            "metrics, dashboard": metrics * month["metric"] + month["dashboard"],
        }

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

    def _run(self, function: str, milliseconds: float) -> float:
        """One invocation, with its share of cold starts."""
        seconds = (milliseconds + self._assumed["cold_starts"] * self._assumed["cold_start_ms"]) / 1000
        gigabytes = self.memory[function] / 1024
        requests = float(self._million["lambda_requests"]) / 1e6
        return requests + seconds * gigabytes * float(self.prices["lambda_gb_second"])

    def _blob(self, size: int) -> float:
        stored = KEPT_MONTHS * self._gigabytes(size) * float(self.prices["month"]["s3_gb"])
        return stored + (float(self._million["s3_puts"]) + float(self._million["s3_gets"])) / 1e6

    def _row(self, table: str, size: int) -> int:
        body = size if table == "messages" and size <= INLINE else 0
        return int(self.units["row_bytes"].get(table, 1024)) + body

    def _gigabytes(self, octets: float) -> float:
        return octets / 2**30

    @property
    def _million(self) -> Mapping[str, float]:
        return self.prices["per_million"]  # type: ignore[no-any-return]

    @property
    def _assumed(self) -> Mapping[str, float]:
        return self.prices["assumed"]  # type: ignore[no-any-return]

    @property
    def _milliseconds(self) -> Mapping[str, float]:
        return self.units["milliseconds"]  # type: ignore[no-any-return]


def answer(costs: Costs, mails: int, mailboxes: int, size: int) -> dict[str, Any]:
    """The costs in US dollars: of 1,000 mails and mailboxes, and of the month that is asked for."""
    mail, mailbox = costs.mail(size), costs.mailbox(mails / mailboxes if mailboxes else 0)
    fixed = sum(costs.fixed.values())
    return {
        "region": costs.prices["region"],
        "prices_of": costs.prices["date"],
        "per_1000_mails": _thousand(mail),
        "per_1000_mails_over_http": {"all": _cents(1000 * (costs.http + sum(mail.values())))},
        "per_1000_idle_mailboxes_a_month": _thousand(costs.mailbox(0)),
        "per_1000_mailboxes_a_month": _thousand(mailbox),
        "fixed_a_month": {name: _cents(cost) for name, cost in costs.fixed.items()} | {"all": _cents(fixed)},
        "month": {
            "mails": mails,
            "mailboxes": mailboxes,
            "size": size,
            "all": _cents(fixed + mails * sum(mail.values()) + mailboxes * sum(mailbox.values())),
        },
    }


@click.command()
@click.option("--mails", type=click.IntRange(0), default=10_000, show_default=True, help="Mails a month.")
@click.option(
    "--mailboxes", type=click.IntRange(0), default=100, show_default=True, help="Connected mailboxes."
)
@click.option("--size", type=click.IntRange(1), default=4_000, show_default=True, help="Bytes of a mail.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def cost(mails: int, mailboxes: int, size: int, *, as_json: bool) -> None:
    """Say what mails and mailboxes cost at AWS a month, in US dollars."""
    found = answer(Costs.read(), mails, mailboxes, size)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, show_header=False)
    for name in (
        "per_1000_mails",
        "per_1000_mails_over_http",
        "per_1000_idle_mailboxes_a_month",
        "fixed_a_month",
    ):
        _show(table, name.replace("_", " "), found[name])
    _show(table, f"a month of {mails} mails and {mailboxes} mailboxes", {"all": found["month"]["all"]})
    console = Console(highlight=False, width=100)
    console.print(
        f"US dollars at AWS in {found['region']}, prices of {found['prices_of']}, without free tiers\n"
    )
    console.print(table)


def _show(table: Table, what: str, parts: Mapping[str, float]) -> None:
    table.add_row(what, f"{parts['all']:.2f}")
    for name, dollars in parts.items():
        if name != "all":
            table.add_row(f"  {name}", f"{dollars:.4f}", style="dim")


def _thousand(parts: Mapping[str, float]) -> dict[str, float]:
    """The parts and their sum, for a thousand."""
    return {name: _cents(1000 * part) for name, part in (*parts.items(), ("all", sum(parts.values())))}


def _cents(dollars: float) -> float:
    """Dollars to a hundredth of a cent."""
    return round(dollars, 4)
