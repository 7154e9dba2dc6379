"""``mailgrant status``: how the installation is, for people and for scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from cli.api import Api
from cli.commands import asking
from cli.exits import DONE, REFUSED
from cli.output import Out

SKEW = 30
"""Seconds that the two clocks may differ before it is said."""

MARKS = {True: "ok", False: "!!"}
"""What stands before a line: words, so that neither color nor a font is needed."""

Line = tuple[bool, str, str]
"""Whether it is fine, what it is, and how it is."""


@click.command()
@asking
def status(api: Api, out: Out) -> int:
    r"""Show how the installation is, and what to do about all trouble.

    The exit code is 0 when everything is fine and 1 when something is wrong: with --json it serves a monitor.

    \b
    Example:
      mailgrant status --json | jq -r '.troubles[].message'
    """
    found = api.get("status")
    answer = {"url": api.config.url, "configured_by": api.config.source, **found}
    if out.as_json:
        out.answer(answer, "")
        return REFUSED if found["troubles"] else DONE
    out.say(f"{api.config.url} (set by {api.config.source})\n")
    codes = frozenset(trouble["code"] for trouble in found["troubles"])
    for fine, name, text in (_api(found), *_accounts(found["accounts"], codes), *_installation(found, codes)):
        out.say(f"{MARKS[fine]}  {name:15} {text}")
    for trouble in found["troubles"]:
        out.problem(trouble)
    return REFUSED if found["troubles"] else DONE


def _api(found: dict[str, Any]) -> Line:
    skew = (datetime.now(UTC) - datetime.fromisoformat(found["time"])).total_seconds()
    side = "behind" if skew > 0 else "ahead"
    clock = f", its clock is {abs(skew):.0f} s {side}" if abs(skew) > SKEW else ""
    return not clock, "API", f"stage {found['stage']}, version {found['version'] or 'unknown'}{clock}"


def _accounts(accounts: dict[str, Any], troubles: frozenset[str]) -> list[Line]:
    more = "" if accounts["complete"] else " (of the first ones only: there are more)"
    named = ", ".join(f"{count} {name}" for name, count in sorted(accounts["by_status"].items())) or "none"
    failing, left = accounts["refresh_failing"], accounts["nearest_expiry"]
    lines = [
        (not any(code.startswith("accounts_") for code in troubles), "accounts", named + more),
        ("refresh_failing" not in troubles, "refreshes", f"{failing} failing" if failing else "all well"),
    ]
    if left is not None:
        text = f"in {left // 86_400} days, unless it is refreshed before"
        lines.append(("nearest_expiry" not in troubles, "first expiry", text))
    if (end := accounts["nearest_end"]) is not None:
        text = f"in {end // 3_600} hours a consent ends for good"
        lines.append(("nearest_end" not in troubles, "first end", text))
    return lines


def _installation(found: dict[str, Any], troubles: frozenset[str]) -> list[Line]:
    """What only who may use all accounts is shown."""
    if "schedules" not in found:
        return []
    lines = [_schedule(name, run) for name, run in found["schedules"].items()]
    oldest = found["schedules"]["relay_due"].get("oldest_due")
    if oldest is not None:
        text = f"waits for {oldest} s" if oldest else "nothing waits"
        lines.append(("overdue" not in troubles, "oldest mail", text))
    dead = {f"dead: {queue}": count for queue, count in found["dead_letters"].items()}
    for name, count in {"rescue queue": found["rescue_queue"], **dead}.items():
        lines.append((not count, name, str(count) if count else "empty"))
    refused = ", ".join(one["name"] for one in found["connectors_in_trouble"])
    lines.append((not refused, "connectors", f"refused: {refused}" if refused else "all well"))
    return lines


def _schedule(name: str, run: dict[str, Any]) -> Line:
    if run["starting"]:
        return True, name, "starting: the stage is new, the first run is still to come"
    ended_at = (run["ended_at"] or "").partition(".")[0].replace("T", " ")
    return not run["silent"], name, f"last ended a run at {ended_at}" if ended_at else "has never ended a run"
