"""How the installation is: facts, and what of them is trouble, with its fix.

Whoever has the scope ``read`` sees the accounts that it may use; only who may use all of them sees what
belongs to no single account: schedules, queues, connectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib import clock
from chalicelib.accounts.doctor import findings
from chalicelib.accounts.models.account import GrantState, Status, status
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.callers.permissions import require
from chalicelib.health import EVERY, RELAY_DUE
from chalicelib.web.api import installation
from chalicelib.web.api.calls import Call
from chalicelib.web.api.queries import LARGEST_PAGE

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.health import Run
    from chalicelib.wiring import Gateway

MOST_PAGES = 10
"""How many pages of accounts are counted; of more accounts the answer says that it is not complete."""

SILENT_AFTER = 3
"""A schedule that has missed so many of its runs is silent."""

STARTS_WITHIN = 15 * clock.MINUTE
"""How long after its deployment a schedule may be without a run: CloudFormation and AWS take their time."""

OVERDUE = 15 * clock.MINUTE // clock.SECOND
SHORT_OF_EXPIRY = 14 * clock.DAY // clock.SECOND
SHORT_SHARE = 0.75
"""Of the time after which an idle grant is refreshed: with less left until its end the refresh is late."""
SHORT_OF_END = 3 * clock.DAY // clock.SECOND
"""Of an app in testing, whose consents end after 7 days, this leaves its owners some days' peace."""

NEEDS_SOMEBODY = {
    Status.NEEDS_RECONNECT: "Make a new connect link for each, and send it to the mailbox's owner.",
    Status.BLOCKED: "The account's problem says what its mail server refuses, and who can change that.",
    Status.MISCONFIGURED: "Mend the connector of these accounts.",
}
"""Status in which mail waits for a person → what that person does."""


def show(call: Call) -> installation.Installation:
    """How the installation is, as far as the caller may know: accounts, schedules, queues, all trouble."""
    require(call.caller, Scope.READ)
    services, now = call.services, call.services.clock()
    known = {connector.id: connector for connector in services.registry.connectors()}
    accounts, overdue = _accounts(services, call.caller.accounts, known, now)
    found: dict[str, Any] = {"accounts": accounts}
    if ALL_ACCOUNTS in call.caller.accounts:
        found |= _installation(services, known.values(), now)
    troubles = [*_troubles(found, overdue)]
    if ALL_ACCOUNTS in call.caller.accounts:
        troubles += _ending_secrets(known.values(), now)
    facts = {
        "status": _in_a_word(found, troubles),
        "stage": services.settings.stage,
        "version": services.settings.package[:12] or None,
        "time": clock.shown(now),
        **found,
        "troubles": troubles,
    }
    return msgspec.convert(facts, installation.Installation)


def _in_a_word(found: Mapping[str, Any], troubles: Sized) -> str:
    if troubles:
        return "trouble"
    return "starting" if any(run["starting"] for run in found.get("schedules", {}).values()) else "ok"


def _accounts(
    services: Gateway, own: Iterable[str], connectors: Mapping[str, Connector], now: int
) -> tuple[dict[str, Any], int]:
    """The accounts by status, how many tokens were refused last, when a grant is first forgotten or ends.

    And of how many accounts the grant should have been refreshed long ago.
    """
    among = None if ALL_ACCOUNTS in own else frozenset(own)
    found: list[Account] = []
    cursor = None
    for _ in range(MOST_PAGES):
        page, cursor = services.registry.accounts(LARGEST_PAGE, cursor, among=among)
        found += page
        if cursor is None:
            break
    active = [account for account in found if account.grant_state is GrantState.ACTIVE]
    forgotten = [at for account in active if (at := _forgotten_at(services, account, connectors)) is not None]
    ends = [account.grant_ends_at for account in active if account.grant_ends_at is not None]
    overdue = sum(_is_overdue(services, account, connectors, now) for account in active)
    facts = {
        "by_status": dict(Counter(str(status(one, connectors.get(one.connector))) for one in found)),
        "refresh_failing": sum(account.problem is not None for account in active),
        "nearest_expiry": max(min(forgotten) - now, 0) // clock.SECOND if forgotten else None,
        "nearest_end": max(min(ends) - now, 0) // clock.SECOND if ends else None,
        "complete": cursor is None,
    }
    return facts, overdue


def _is_overdue(services: Gateway, account: Account, connectors: Mapping[str, Connector], now: int) -> bool:
    """Whether so little is left until the provider forgets the grant that a refresh must have failed.

    An idle grant is refreshed when half of the time is over, so a healthy one has about half of it left.
    """
    at, connector = _forgotten_at(services, account, connectors), connectors.get(account.connector)
    if at is None or connector is None:
        return False
    usual = services.catalogue.of(connector).keep_alive
    return (at - now) // clock.SECOND < min(SHORT_OF_EXPIRY, usual * SHORT_SHARE)


def _forgotten_at(services: Gateway, account: Account, connectors: Mapping[str, Connector]) -> int | None:
    """When the provider forgets the account's grant if nothing more is heard of it."""
    connector = connectors.get(account.connector)
    if connector is None or account.refreshed_at is None:
        return None
    return account.refreshed_at + 2 * services.catalogue.of(connector).keep_alive * clock.SECOND


def _installation(services: Gateway, connectors: Iterable[Connector], now: int) -> dict[str, Any]:
    runs = services.schedules_table.last(EVERY)
    since = services.public_url.since
    return {
        "schedules": {name: _run(name, runs.get(name), now, since) for name in EVERY},
        "rescue_queue": services.rescue_queue.depth(),
        "dead_letters": {name: queue.depth() for name, queue in services.dead_letters.items()},
        "connectors_in_trouble": [
            {"id": one.id, "name": one.name, "problem": one.problem.to_json()}
            for one in connectors
            if one.problem is not None
        ],
    }


def _run(name: str, run: Run | None, now: int, since: Callable[[], int]) -> dict[str, Any]:
    """A schedule's last run, and whether it is missed. `since` tells when the application was deployed."""
    late = run is None or now - run.at > SILENT_AFTER * EVERY[name]
    starting = late and now - since() <= STARTS_WITHIN
    facts = {"ended_at": clock.shown(run.at if run else None), "silent": late and not starting}
    return {**facts, "starting": starting, **(run.seen if run else {})}


def _troubles(found: Mapping[str, Any], overdue: int) -> Iterator[dict[str, Any]]:
    accounts = found["accounts"]
    for state, fix in NEEDS_SOMEBODY.items():
        if count := accounts["by_status"].get(state, 0):
            yield _trouble(f"accounts_{state}", f"{_so_many(count, 'account')} in the status {state}.", fix)
    if count := accounts["refresh_failing"]:
        yield _trouble(
            "refresh_failing",
            f"The last refresh failed for {_so_many(count, 'account')}.",
            "Nothing yet: it is tried again by itself. GET /v1/accounts shows each one's problem.",
        )
    if overdue:
        yield _trouble(
            "nearest_expiry",
            f"A provider forgets a grant in {accounts['nearest_expiry'] // 86_400} days.",
            "Find out why it is not refreshed: the account's problem, or the log of `refresh_tokens`.",
        )
    if accounts["nearest_end"] is not None and accounts["nearest_end"] < SHORT_OF_END:
        yield _trouble(
            "nearest_end",
            f"A consent ends in {accounts['nearest_end'] // 3_600} hours, and no refresh prolongs it.",
            "Send its owner a new connect link. Google ends consents to an app in testing after 7 days:"
            " publish the app first.",
        )
    if "schedules" in found:
        yield from _stuck(found)


def _stuck(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, run in found["schedules"].items():
        if run["silent"]:
            last = f"has not ended since {run['ended_at']}" if run["ended_at"] else "has never ended a run"
            message = f"The schedule {name} {last}."
            fix = "Look at the function's log, and at whether its rule in EventBridge is enabled."
            yield _trouble("schedule_silent", message, fix)
    oldest = found["schedules"][RELAY_DUE].get("oldest_due", 0)
    if oldest > OVERDUE:
        message = f"Mail that could go has been waiting for {oldest // 60} minutes."
        fix = "Look at the log of `relay`, and whether AWS's limit of concurrent executions is reached."
        yield _trouble("overdue", message, fix)
    if found["rescue_queue"]:
        message = f"{_so_many(found['rescue_queue'], 'refresh token')} could not be saved yet."
        fix = "It is tried every 5 minutes; the log of `refresh_tokens` says what refuses them."
        yield _trouble("rescue_queue", message, fix)
    for name, count in found["dead_letters"].items():
        if count:
            message = f"{_so_many(count, 'message')} of the queue {name} could not be worked off."
            fix = f"The log of the function `{name}` says why. Then purge them: they are only hints."
            yield _trouble("dead_letters", message, fix)
    for connector in found["connectors_in_trouble"]:
        message = f"The connector {connector['name']} is refused: {connector['problem']['message']}"
        yield _trouble("connector", message, connector["problem"]["fix"])


def _ending_secrets(connectors: Iterable[Connector], now: int) -> Iterator[dict[str, Any]]:
    """The client secrets that end soon, or have ended, as far as somebody has told when."""
    for connector in connectors:
        day = connector.facts.get("secret_expires_at")
        if not day or connector.credential is not CredentialKind.SECRET:
            continue
        left = findings.days_until(findings.start_of(day), now)
        if left <= max(findings.WARN_BEFORE):
            when = f"ends on {day}: {_so_many(left, 'day')} left" if left > 0 else f"ended on {day}"
            yield _trouble(
                "secret_ends",
                f"The client secret of the connector {connector.name} {when}.",
                "Make a new one at the provider and save it, with its own end:"
                f" `mailgrant connectors secret {connector.id} --expires DAY`. Until then both work.",
            )


def _trouble(code: str, message: str, fix: str) -> dict[str, Any]:
    return {"code": code, "message": message, "fix": fix}


def _so_many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
