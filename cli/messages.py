"""Commands for messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cli.api import Api, ApiError, part
from cli.commands import Commands, asking
from cli.completion import accounts as complete_accounts
from cli.exits import DONE, FELL_SHORT, REFUSED
from cli.output import Out, moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLL = 1.0
"""Seconds between two looks at a message that is followed."""

SETTLED = frozenset({"sent", "failed", "cancelled", "unknown"})

FIELDS = [
    ("id", "id"),
    ("state", "state"),
    ("account", "account"),
    ("subject", "subject"),
    ("message_id", "Message-ID"),
    ("accepted_at", "accepted"),
    ("next_attempt_at", "next attempt"),
    ("expires_at", "given up"),
    ("size", "bytes"),
    ("resolved_by", "resolved by"),
    ("cancelled_by", "cancelled by"),
]
COLUMNS = [("state", "STATE"), ("accepted_at", "ACCEPTED"), ("subject", "SUBJECT")]


@click.group(cls=Commands)
def messages() -> None:
    """What became of messages."""


@messages.command("list")
@click.option("--account", required=True, shell_complete=complete_accounts, help="An account, by id or name.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@asking
def list_messages(api: Api, out: Out, account: str, limit: int) -> None:
    r"""List an account's messages, the newest first.

    \b
    Example:
      mailgrant messages list --account sales --limit 100
    """
    found = list(api.pages("messages", "messages", limit, account=account))
    out.table({"messages": found}, found, COLUMNS, below="id")


@messages.command("show")
@click.argument("message")
@asking
def show(api: Api, out: Out, message: str) -> None:
    r"""Show one message with every attempt.

    \b
    Example:
      mailgrant messages show msg_q3vd0r8m2xkz5t7w1ybn_01jd8r7k3m5p9q2s4t6v8w0x1y
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
      mailgrant messages follow msg_q3vd0r8m2xkz5t7w1ybn_01jd8r7k3m5p9q2s4t6v8w0x1y --timeout 60
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
      mailgrant messages resolve msg_q3vd0r8m2xkz5t7w1ybn_01jd8r7k3m5p9q2s4t6v8w0x1y --as sent
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
      mailgrant messages cancel msg_q3vd0r8m2xkz5t7w1ybn_01jd8r7k3m5p9q2s4t6v8w0x1y
    """
    cancelled, refused = [], []
    for one in message:
        try:
            cancelled.append(api.post(f"messages/{part(one)}/cancel", {}))
        except ApiError as error:
            refused.append({"id": one, "error": dict(error.error)})
            out.say(f"{one} refused")
            out.problem(error.error)
        else:
            out.say(f"{one} cancelled")
    out.answer({"messages": cancelled, "refused": refused}, f"{len(cancelled)} of {len(message)} cancelled.")
    return REFUSED if refused else None


def followed(api: Api, out: Out, message: str, timeout: int) -> int:
    """Waits until a message is settled, at most for so many seconds, and shows it; returns the exit code."""
    found = settled(api, out, message, timeout)
    show_record(out, found)
    return DONE if found["state"] == "sent" else FELL_SHORT


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
    out.record(record, FIELDS)
    if out.as_json:
        return
    for recipient in record.get("recipients", ()):
        out.say(f"  {recipient['state']:10} {recipient['address']}{_reply(recipient)}")
    if record.get("may_be_duplicate"):
        out.say("The recipients may have got it twice: an attempt ended without an answer.")
    _attempts(out, record.get("attempts", ()))


def _attempts(out: Out, attempts: Sequence[Mapping[str, Any]]) -> None:
    for attempt in attempts:
        ended = f"{attempt.get('outcome') or 'running'} in phase {attempt['phase']}"
        out.say(f"\nAttempt {attempt['number']}  {moment(attempt['began_at'])}  {ended}{_reply(attempt)}")
        out.problem(attempt.get("diagnosis"))


def _reply(record: Mapping[str, Any]) -> str:
    reply = record.get("reply")
    # The text begins with the enhanced code, if there is one.
    return f"  {reply['code']} {reply['text']}" if reply else ""
