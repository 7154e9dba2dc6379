"""``mailgrant cost``: its sums by hand, and its constants against what they are constants of."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from bench.calls import counted
from chalicelib.callers.models import Scope
from chalicelib.clock import DAY, MINUTE
from chalicelib.health import EVERY
from chalicelib.mail.send import INLINE
from chalicelib.providers.catalogue import CATALOGUE
from cli import costs
from cli.cost import cost, shown
from cli.costs import Costs, answer
from tests.unit.log_lines import lines
from tests.unit.mail_world import post, running_post, world
from tests.unit.web_services import bearer, client

if TYPE_CHECKING:
    from tests.unit.log_lines import Lines
    from tests.unit.mail_world import World

__all__ = ["lines", "post", "running_post", "world"]

PROJECT = Path(__file__).resolve().parents[2]
LAMBDAS_OWN_LINES = 400
"""Bytes of START, END and REPORT of one invocation, or a little more."""
OF_AN_EVENT = 26
"""Bytes that CloudWatch bills of each line besides its text."""


@pytest.fixture
def figures() -> Costs:
    """The costs by the figures in the repository."""
    return Costs.read()


def run(*options: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(cost, options)
    assert result.exit_code == 0, result.output
    return result.output


def made_up(**changes: Any) -> Costs:
    """Costs of which one can do the sums by hand: two calls, a whole processor, and prices in dollars."""
    million = dict.fromkeys(("lambda_requests", "sqs_requests", "s3_puts", "s3_gets", "api_requests"), 0.0)
    prices = {
        "per_million": million | {"dynamodb_write_units": 1.0, "dynamodb_read_units": 1.0},
        "lambda_gb_second": 0.0,
        "log_gb": 0.0,
        "transfer_gb": 0.0,
        "month": {"dynamodb_gb": 0.0, "dynamodb_backup_gb": 0.0, "s3_gb": 0.0},
    }
    units = {
        "operations": {"accept": {"dynamodb.PutItem:messages": 1}, "relay": {"dynamodb.Query:messages": 2}},
        "row_bytes": {"messages": 500},
        "milliseconds": {"accept": 10, "relay": 20},
    }
    return replace(Costs(prices, units, {"send": 1769, "relay": 512}, alarms=1), **changes)


def test_a_write_is_billed_by_the_whole_row_and_its_index_entries() -> None:
    mail = made_up().mail(3_000)

    assert mail["accept"] == pytest.approx((4 + 3) / 1e6)
    assert mail["relay"] == pytest.approx(2 / 1e6)


def test_a_long_body_is_not_in_the_row_but_in_the_bucket() -> None:
    found = made_up()
    found.prices["per_million"].update(s3_puts=5.0, s3_gets=0.4)

    assert found.mail(INLINE)["bytes in the bucket"] == 0
    assert found.mail(INLINE + 1)["bytes in the bucket"] == pytest.approx(5.4 / 1e6)
    assert found.mail(INLINE + 1)["accept"] == pytest.approx((1 + 3) / 1e6)


def test_a_small_function_computes_longer_and_waits_as_long() -> None:
    found = made_up()
    quiet = {**found.units, "operations": {"accept": {}, "relay": {}}}

    mail = replace(found, units=quiet, prices={**found.prices, "lambda_gb_second": 1.0}).mail(1)

    start, smtp = 0.2 * 0.5, 1.5
    assert mail["accept"] == pytest.approx((0.010 + start) * 1769 / 1024)
    assert mail["relay"] == pytest.approx((0.020 * 1769 / 512 + start + smtp) * 512 / 1024)


def test_every_call_of_the_bench_has_a_price(figures: Costs) -> None:
    for step in figures.units["operations"]:
        assert figures._asked(step, 1_000) > 0


def test_nothing_gets_cheaper_by_more(figures: Costs) -> None:
    """Not even a body that leaves its row: what it costs in the bucket is told beside it."""
    by_size = [figures.mail(size)["bytes to the mail server"] for size in (1, 5_000, 1_000_000)]
    by_mails = [sum(figures.mailbox(mails).values()) for mails in (0, 1, 10, 100)]

    assert by_size == sorted(by_size)
    assert by_mails == sorted(set(by_mails))
    assert figures.mailbox(1_000_000) == figures.mailbox(costs.HOURLY)


def test_the_parts_add_up(figures: Costs) -> None:
    found = answer(figures, 10_000, 100, 4_000)

    for name in ("per_1000_mails", "per_1000_mailboxes_a_month", "fixed_a_month"):
        parts = {part: dollars for part, dollars in found[name].items() if part != "all"}
        assert found[name]["all"] == pytest.approx(sum(parts.values()), abs=0.001)
    each = found["fixed_a_month"]["all"] + 10 * found["per_1000_mails"]["all"]
    assert found["month"]["all"] == pytest.approx(
        each + 0.1 * found["per_1000_mailboxes_a_month"]["all"], abs=0.01
    )


@pytest.mark.aws
def test_what_a_schedule_asks_when_it_finds_nothing_is_what_is_counted(world: World) -> None:
    world.ahead = -world.now() - DAY  # before any other test has left something that is due
    runs = {
        "relay_due": world.relay_schedule.run_due,
        "refresh_tokens": world.refresh_schedule.run,
    }
    for name, run_it in runs.items():
        with counted(world) as made:
            run_it(until=world.now() + 5 * MINUTE)
        assert dict(made.operations) == costs.TICKS[name]


@pytest.mark.aws
def test_the_log_of_a_mail_is_not_longer_than_assumed(world: World, lines: Lines) -> None:
    """By HTTP, where it is longest."""
    key = world.callers.create_key("orders", (Scope.SEND,), ("*",))[1].reveal()
    asked = {"account": world.account_id, "to": ["bob@example.net"], "subject": "Hi", "text": "Hi"}
    with client(world) as http:  # type: ignore[arg-type]
        http.http.post("/v1/messages", headers=bearer(key), body=json.dumps(asked).encode())
    assert world.serve() == {"sent": 1}

    told = len(lines.text.encode()) + OF_AN_EVENT * len(lines.all()) + 2 * LAMBDAS_OWN_LINES
    assumed, _ = costs.ASSUMED["mail_log_bytes"]
    assert assumed / 2 < told < assumed


def test_the_constants_are_those_of_the_stage() -> None:
    stack = yaml.safe_load(
        (PROJECT / ".chalice" / "data-stack.yaml").read_text().replace("!Sub", "").replace("!Ref", "")
        .replace("!GetAtt", "")
    )  # fmt: skip
    kinds = [one["Type"] for one in stack["Resources"].values()]
    decorators = [
        decorator.func.attr
        for function in ast.parse((PROJECT / "app.py").read_text()).body
        if isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
    ]

    assert kinds.count("AWS::KMS::Key") == costs.KEYS
    assert decorators.count("on_sqs_message") == len(costs.LISTENING)
    assert set(costs.TICKS) == set(EVERY)
    assert {facts.name for facts in costs.PROVIDERS} <= {facts.name for facts in CATALOGUE}


def test_json_is_one_document_with_what_was_asked_for() -> None:
    found = json.loads(run("--json", "--mails", "500", "--mailboxes", "5", "--size", "20000"))

    assert found["month"] | {"all": 0} == {"mails": 500, "mailboxes": 5, "size": 20_000, "all": 0}
    assert found["region"] == "us-east-1"
    assert found["per_1000_mails"]["bytes in the bucket"] > 0
    assert found["assumed"]["smtp_ms"] == costs.ASSUMED["smtp_ms"][0]


def test_the_page_fits_a_terminal_and_says_whose_prices_these_are() -> None:
    page = run("--mails", "3000000", "--mailboxes", "12345", "--size", "1000000")

    assert max(len(line) for line in page.splitlines()) <= 80
    for text in ("us-east-1", "list prices of 2", "1,000,000 bytes", "12,345 mailboxes", "Assumed"):
        assert text in page


def test_uf14_the_page_names_what_it_leaves_out() -> None:
    page = " ".join(run().partition("Not in it:")[2].split())

    assert len(costs.LEFT_OUT) > 5
    for text in costs.LEFT_OUT:
        assert f"- {text}" in page
    assert json.loads(run("--json"))["left_out"] == list(costs.LEFT_OUT)


def test_no_mailbox_is_no_division_by_zero() -> None:
    assert "from 0 mailboxes" in run("--mails", "0", "--mailboxes", "0")
    assert "that send" not in "".join(
        line for line in shown(answer(Costs.read(), 0, 3, 1)) if "nothing" not in line
    )


def test_a_number_that_cannot_be_is_refused() -> None:
    assert CliRunner().invoke(cost, ["--size", "0"]).exit_code == 2
