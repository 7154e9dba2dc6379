"""``./mailgrant cost``: what mail and mailboxes cost at AWS. How that is found out is in costs."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LABEL, FIGURE = 61, 9
"""Columns of what costs, and of how much."""

WIDTH = 80


@click.command()
@click.option("--mails", type=click.IntRange(0), default=10_000, show_default=True, help="Mails a month.")
@click.option(
    "--mailboxes", type=click.IntRange(0), default=100, show_default=True, help="Connected mailboxes."
)
@click.option("--size", type=click.IntRange(1), default=4_000, show_default=True, help="Bytes of a mail.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def cost(mails: int, mailboxes: int, size: int, *, as_json: bool) -> None:
    r"""Say what mails and mailboxes cost at AWS a month, in US dollars.

    \b
    Examples:
      mailgrant cost
      mailgrant cost --mails 300000 --mailboxes 2000 --size 50000
    """
    from cli.costs import Costs, answer  # here, because the application's own constants take time to import

    found = answer(Costs.read(), mails, mailboxes, size)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(shown(found)))


def shown(found: Mapping[str, Any]) -> Iterator[str]:
    """The answer as lines for people."""
    from cli.costs import ASSUMED, LEFT_OUT

    month = found["month"]
    mails, mailboxes, size = (f"{month[name]:,}" for name in ("mails", "mailboxes", "size"))
    each = month["mails"] / month["mailboxes"] if month["mailboxes"] else 0
    yield f"US dollars at AWS in {found['region']}, list prices of {found['prices_of']}, without free tiers."
    yield "Calls, rows and times are those that make bench measured. All are rounded up.\n"
    yield from _parts(f"1,000 mails of {size} bytes", found["per_1000_mails"])
    yield from _parts("the same over HTTP, by an API key", found["per_1000_mails_over_http"])
    yield from _parts("1,000 mailboxes that send nothing, a month", found["per_1000_idle_mailboxes_a_month"])
    if each:
        title = f"1,000 mailboxes that send {each:,.4g} mails each, besides the mails"
        yield from _parts(title, found["per_1000_mailboxes_a_month"])
    yield from _parts("a stage in which nothing happens, a month", found["fixed_a_month"])
    yield from _parts(f"all of a month of {mails} mails from {mailboxes} mailboxes", month)
    yield "\nAssumed, because it cannot be measured here:"
    for value, meaning in ASSUMED.values():
        yield f"{value:>8,}  {meaning}"
    yield "\nNot in it:"
    for line in LEFT_OUT:
        yield from wrap(line, WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _parts(what: str, parts: Mapping[str, Any]) -> Iterator[str]:
    """What it is with the sum, then the parts that cost anything."""
    whole = parts["all"]
    yield f"{what:{LABEL}}{whole:{FIGURE}.2f}" if whole >= 1 else f"{what:{LABEL}}{whole:{FIGURE + 2}.4f}"
    for name, dollars in parts.items():
        if name not in ("all", "mails", "mailboxes", "size") and dollars:
            yield f"  {name:{LABEL}}{dollars:{FIGURE}.4f}"
