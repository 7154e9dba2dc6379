"""The figures for people, each beside its aim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bench.init import Function
    from bench.refresh import Refresh
    from bench.run import Measured

Row = tuple[str, str, str, bool | None]
"""What, its value, its aim, and whether that is met (None: there is no aim)."""

WITHIN = 1.25
"""The most that the init of `send` and `relay` may take, by that of boto3 with a DynamoDB client."""

AIMED = ("send", "relay")
AT_ONCE_AIM = 20
ZIP_AIM = 7


def print_table(measured: Measured) -> None:
    """Prints every figure, and whether it is within its aim."""
    table = Table(box=None, header_style="bold")
    for heading in ("", "measured", "aim", ""):
        table.add_column(heading)
    for what, value, aim, met in rows(measured):
        table.add_row(what, value, aim, "" if met is None else ("met" if met else "MISSED"))
    Console(width=110, highlight=False).print(table)


def rows(measured: Measured) -> list[Row]:
    """Every figure."""
    accept, relay, refresh = measured.accept, measured.relay, measured.refresh
    rates, reads = refresh.per_minute, refresh.reads
    fastest, growth = rates[max(rates)] / rates[min(rates)], len(set(reads.values()))
    found: list[Row] = [
        _calls("accept, calls to AWS, account busy", accept.busy, most=2),
        _calls("accept, account idle", accept.idle, most=3),
        _calls("accept, long body", accept.idle_large, most=4),
        ("accept, first of a process", f"{accept.first}", "", None),
        ("accept, p50 and p99", f"{accept.p50:.1f} ms, {accept.p99:.1f} ms", "", None),
        _calls("relay, calls for a message", relay.per_message, most=3, form=".2f"),
        _calls("relay, long body", relay.per_large_message, most=4, form=".2f"),
        _calls("relay, calls for a session", relay.per_session, most=4, form=".1f"),
        ("relay, further looks, each 25 messages", f"{relay.looks:.1f}", "", None),
        ("relay, first session of a process", f"{relay.first_session:.1f}", "", None),
        ("relay, round trips for a message", f"{relay.round_trips:.2f}", "", None),
        ("relay, messages a second", f"{relay.messages_per_s:.1f}", "", None),
        ("smtplib, messages a second", f"{relay.smtplib_messages_per_s:.1f}", "", None),
        ("refresh, calls to AWS", f"{refresh.aws_calls}", "", None),
        *(
            (f"refreshes a minute, {at_once} at once", f"{rate:.0f}", "", None)
            for at_once, rate in rates.items()
        ),
        ("refreshes, most at once by one", f"{fastest:.1f} times", f"{AT_ONCE_AIM}", fastest >= AT_ONCE_AIM),
        ("processor time of each then", _processor(refresh), "", None),
        ("reads of a tick, by accounts", f"{dict(reads)}", "equal", growth == 1),
        ("boto3 with a client, init", f"{measured.baseline.init:.0f} ms", "", None),
    ]
    found += [_started(name, function) for name, function in measured.init.items()]
    found += [(f"{name}, most memory", f"{size:.0f} MiB", "", None) for name, size in measured.memory.items()]
    size = measured.zip_mib
    return [*found, ("zip", f"{size:.2f} MiB", f"{ZIP_AIM} MiB", size <= ZIP_AIM)]


def _calls(what: str, calls: float, *, most: int, form: str = "") -> Row:
    """A number of calls, which is to be at most the aim; `form` is how it is shown."""
    return what, format(calls, form), str(most), calls <= most


def _started(name: str, function: Function) -> Row:
    start, ratio = function.start, f"{function.ratio:.2f}"
    value = f"{ratio} ({start.init:.0f} ms, then {start.first:.0f} ms, {start.memory:.0f} MiB)"
    if name not in AIMED:
        return f"{name}, init", value, "", None
    return f"{name}, init", value, str(WITHIN), function.ratio <= WITHIN


def _processor(refresh: Refresh) -> str:
    taken = refresh.rates[max(refresh.rates)].processor_ms
    return ", ".join(f"{name} {one:.1f} ms" for name, one in taken.items())
