"""Commands for messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, get_args

import click

from chalicelib.mail.records import ShownState
from cli.api import Api, ApiError, part
from cli.commands import Commands, asking, tell_error
from cli.completion import accounts as complete_accounts
from cli.exits import DONE, FELL_SHORT, REFUSED
from cli.moments import MOMENTS, Moment
from cli.output import Out, moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLL = 1.0
"""Seconds between two looks at a message that is followed."""

STATES: tuple[str, ...] = get_args(ShownState)
SETTLED = frozenset({"sent", "failed", "cancelled", "unknown"})

FIELDS = [
    ("id", "id"),
    ("state", "state"),
    ("account", "account"),
    ("subject", "subject"),
    ("message_id", "Message-ID"),
    ("accepted_at", "accepted"),
    ("next_attempt_at", "next attempt"),
    ("expires_at", "given up at"),
    ("size", "bytes"),
    ("resolved_by", "resolved by"),
    ("cancelled_by", "cancelled by"),
]
WHILE_IT_WAITS = frozenset({"next_attempt_at", "expires_at"})

COLUMNS = [("state", "STATE"), ("accepted_at", "ACCEPTED"), ("subject", "SUBJECT")]


@click.group(cls=Commands)
def messages() -> None:
    r"""What became of messages.

    \b
    Examples:
      mailgrant messages list --account sales
      mailgrant messages list --state failed --since today
      mailgrant messages show msg_…
    """


@messages.command("list")
@click.option(
    "--account",
    shell_complete=complete_accounts,
    help="An account, by id or name; left out, all that the key may use.",
)
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Only {', '.join(STATES)}.")
@click.option("--since", type=Moment(), help=f"Only what was accepted then or later: {MOMENTS}.")
@click.option("--until", type=Moment(), help="Only what was accepted before that.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@asking
def list_messages(  # noqa: PLR0913, PLR0917 - one for each option
    api: Api,
    out: Out,
    account: str | None,
    state: str | None,
    since: str | None,
    until: str | None,
    limit: int,
) -> None:
    r"""List messages, the newest first.

    \b
    Examples:
      mailgrant messages list --account sales --limit 100
      mailgrant messages list --state failed --since today
    """
    query = {"account": account, "state": state, "since": since, "until": until}
    wanted = {name: value for name, value in query.items() if value is not None}
    found = list(api.pages("messages", "messages", limit, **wanted))
    columns = COLUMNS if account else [*COLUMNS, ("account", "ACCOUNT")]
    out.table({"messages": found}, found, columns, below="id", none=_none(account, wanted))


def _none(account: str | None, wanted: Mapping[str, str]) -> str:
    """What is said where no message is listed."""
    if wanted.keys() - {"account"}:
        return "No such message; records are kept for 30 days."
    of = f" of {account}" if account else ""
    return f"No message{of} in the last 30 days: `mailgrant send --help` shows how to send one."


@messages.command("show")
@click.argument("message")
@asking
def show(api: Api, out: Out, message: str) -> None:
    r"""Show one message with every attempt.

    \b
    Example:
      mailgrant messages show msg_…
    """
    show_record(out, api.get(f"messages/{part(message)}"))


@messages.command("follow")
@click.argument("message")
@click.option(
    "--timeout", type=click.IntRange(0), default=300, show_default=True, help="Seconds to wait at most."
)
@asking
def follow(api: Api, out: Out, message: str, timeout: int) -> int:
    r"""Wait until a message is sent (exit code 0), or has failed or is unknown (4).

    \b
    Example:
      mailgrant messages follow msg_… --timeout 60
    """
    return followed(api, out, message, timeout)


@messages.command("resolve")
@click.argument("message")
@click.option("--as", "as_", type=click.Choice(["sent", "failed", "resend"]), required=True)
@asking
def resolve(api: Api, out: Out, message: str, as_: str) -> None:
    r"""Settle a message of which nobody knows whether it was taken.

    \b
    Example:
      mailgrant messages resolve msg_… --as sent
    """
    answer = api.post(f"messages/{part(message)}/resolve", {"as": as_})
    out.answer(answer, f"{message} {answer.get('state', as_)}")


@messages.command("cancel")
@click.argument("message", nargs=-1, required=True)
@asking
def cancel(api: Api, out: Out, message: tuple[str, ...]) -> int | None:
    r"""Stop messages that are not on their way yet. One that cannot be stopped keeps no other from it.

    \b
    Example:
      mailgrant messages cancel msg_…
    """
    cancelled, refused = [], []
    for one in message:
        try:
            cancelled.append(api.post(f"messages/{part(one)}/cancel", {}))
        except ApiError as error:
            refused.append({"id": one, "error": dict(error.error)})
            if not out.as_json:
                tell_error(error.error, f"{one} refused: {error}", as_json=False)
        else:
            out.say(f"{one} cancelled")
    out.answer({"messages": cancelled, "refused": refused}, f"{len(cancelled)} of {len(message)} cancelled.")
    return REFUSED if refused else None


def followed(api: Api, out: Out, message: str, timeout: int) -> int:
    """Waits until a message is settled, at most for so many seconds, and shows it; returns the exit code."""
    found = settled(api, out, message, timeout)
    show_record(out, found)
    if found["state"] not in SETTLED and not out.as_json:
        click.echo(f"\n{_goes_on(api, found)}", err=True)
    return DONE if found["state"] == "sent" else FELL_SHORT


def _goes_on(api: Api, record: Mapping[str, Any]) -> str:
    """What has to happen that the message goes on, as far as the key may see."""
    again = f"`mailgrant messages follow {record['id']}` waits again."
    if record["state"] != "held":
        return f"It goes on by itself; {again}"
    account = record["account"]
    try:
        status = api.get(f"accounts/{part(account)}")["status"]
    except ApiError:
        return f"It is held: its account cannot send now. Whoever administers the account knows why. {again}"
    if status == "paused":
        return f"Its account is paused: `mailgrant accounts resume {account}` lets it go on. {again}"
    return f"It is held: its account is {status}; `mailgrant accounts show {account}` says why. {again}"


def settled(api: Api, out: Out, message: str, timeout: int) -> dict[str, Any]:
    """The record of a message that was sent or given up, or as it stands after that many seconds."""
    end = time.monotonic() + timeout
    said = ""
    while True:
        found = api.get(f"messages/{part(message)}")
        if found["state"] in SETTLED or time.monotonic() >= end:
            return found
        if found["state"] != said:
            out.say(f"{found['state']} …")
            said = found["state"]
        time.sleep(POLL)


def show_record(out: Out, record: Mapping[str, Any]) -> None:
    """Shows a message with its recipients and every attempt."""
    waits = record["state"] not in SETTLED
    out.record(record, [one for one in FIELDS if waits or one[0] not in WHILE_IT_WAITS])
    if out.as_json:
        return
    for recipient in record.get("recipients", ()):
        out.say(f"  {recipient['state']:10} {recipient['address']}{_reply(recipient)}")
    if record.get("may_be_duplicate"):
        out.say("The recipients may have got it twice: an attempt ended without an answer.")
    _attempts(out, record.get("attempts", ()))


def _attempts(out: Out, attempts: Sequence[Mapping[str, Any]]) -> None:
    for attempt in attempts:
        outcome = attempt.get("outcome") or "running"
        ended = outcome if outcome == "sent" else f"{outcome} in phase {attempt['phase']}"
        out.say(f"\nAttempt {attempt['number']}  {moment(attempt['began_at'])}  {ended}{_reply(attempt)}")
        out.problem(attempt.get("diagnosis"))


def _reply(record: Mapping[str, Any]) -> str:
    reply = record.get("reply")
    # The text begins with the enhanced code, if there is one.
    return f"  {reply['code']} {reply['text']}" if reply else ""
