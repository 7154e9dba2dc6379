"""Commands for API keys and for the other callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from chalicelib.callers.models import MOST_PER_MINUTE
from cli.commands import YES, Commands, agree, asking
from cli.completion import accounts as complete_accounts
from cli.completion import callers as complete_callers
from cli.output import Out, moment
from cli.ways import with_options

if TYPE_CHECKING:
    from cli.api import Api

DAY = 86_400

HELD_TO = [
    ("from_addresses", "may be From"),
    ("reply_to_domains", "Reply-To at"),
    ("messages_per_minute", "per minute"),
]
FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("scopes", "scopes"),
    ("accounts", "accounts"),
    ("created_at", "created"),
    ("expires_at", "expires"),
    ("revoked_at", "revoked"),
    *HELD_TO,
]
COLUMNS = [("name", "NAME"), ("scopes", "SCOPES"), ("accounts", "ACCOUNTS"), ("state", "STATE")]

SCOPES = click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["send", "read", "admin"]),
    help="What it may do; may be repeated.",
)
ACCOUNTS = click.option(
    "--account",
    "accounts",
    multiple=True,
    required=True,
    shell_complete=complete_accounts,
    help='An account that it may use, by id or name, or "*"; may be repeated.',
)
LIMITS = (
    click.option(
        "--from",
        "from_addresses",
        multiple=True,
        help="An address that its messages may come from, of those of the account; may be repeated.",
    ),
    click.option(
        "--reply-to-domain",
        "reply_to_domains",
        multiple=True,
        help="A domain that addresses in Reply-To may have; may be repeated.",
    ),
    click.option(
        "--per-minute",
        "messages_per_minute",
        type=click.IntRange(0, MOST_PER_MINUTE),
        help="How many messages it may hand in each minute. 0: as many as it likes.",
    ),
)


@click.group(cls=Commands)
def keys() -> None:
    r"""API keys, by which services send and administrators administrate.

    \b
    Examples:
      mailgrant keys list
      mailgrant keys create shop --scope send --account sales
    """


@keys.command("create")
@click.argument("name")
@SCOPES
@ACCOUNTS
@click.option("--days", type=click.IntRange(1, 3650), help="It expires after so many days.")
@with_options(*LIMITS)
@asking
def create_key(api: Api, out: Out, *, days: int | None, **asked: Any) -> None:
    r"""Make an API key. Its text is shown now and never again.

    \b
    Examples:
      mailgrant keys create shop --scope send --account sales --days 365
      mailgrant keys create news --scope send --account sales --per-minute 60
    """
    body: dict[str, Any] = {"kind": "key", **_given(asked)}
    if days:
        body["expires_in"] = days * DAY
    caller = api.post("callers", body)
    out.record(caller, FIELDS)
    out.say(f"\n{caller['key']}\n\nThis is the only time that the key is shown.")


@keys.command("list")
@asking
def list_keys(api: Api, out: Out) -> None:
    r"""List the API keys, without their texts.

    \b
    Example:
      mailgrant keys list
    """
    found = [caller for caller in api.get("callers")["callers"] if caller["kind"] == "key"]
    _table(
        out, {"callers": found}, found, "No API key: `mailgrant keys create --help` shows how to make one."
    )


@keys.command("revoke")
@click.argument("key", shell_complete=complete_callers)
@YES
@asking
def revoke_key(api: Api, out: Out, key: str, *, yes: bool) -> None:
    r"""Revoke an API key by its id (key_…), for ever. It takes up to 30 seconds.

    What it has handed in and is not sent yet stops.

    \b
    Example:
      mailgrant keys revoke key_q3vd0r8m2xkz5t7w1ybn
    """
    _revoke(api, out, key, yes=yes)


@click.group(cls=Commands)
def callers() -> None:
    r"""Everybody who may use the API or the function send: keys, IAM roles, aliases.

    \b
    Examples:
      mailgrant callers list
      mailgrant callers allow shop --alias shop --scope send --account sales
    """


@callers.command("allow")
@click.argument("name")
@click.option("--role", "arn", help="The ARN of an IAM role or user, which signs its requests to /iam/v1.")
@click.option("--alias", help='An alias of the function send; "" is the function without an alias.')
@SCOPES
@ACCOUNTS
@with_options(*LIMITS)
@asking
def allow(api: Api, out: Out, *, arn: str | None, alias: str | None, **asked: Any) -> None:
    r"""Allow an IAM role, or an alias of the function send.

    \b
    Examples:
      mailgrant callers allow shop --alias shop --scope send --account sales
      mailgrant callers allow ops --role ARN --scope admin --account "*"
    """
    if (arn is None) == (alias is None):
        raise click.UsageError("Name either --role or --alias.")
    which = {"kind": "lambda", "alias": alias} if arn is None else {"kind": "role", "arn": arn}
    out.record(api.post("callers", {**which, **_given(asked)}), FIELDS)


@callers.command("limit")
@click.argument("caller", shell_complete=complete_callers)
@with_options(*LIMITS)
@asking
def limit(api: Api, out: Out, caller: str, **asked: Any) -> None:
    r"""Hold a caller (a key, a role, an alias) to other limits. It takes up to 30 seconds.

    What is left out stays as it is. Addresses are replaced together, and so are domains; "" takes all of them
    away. Mail that waits and is not allowed any more fails.

    \b
    Examples:
      mailgrant callers limit lambda:shop --per-minute 30
      mailgrant callers limit lambda:shop --from shop@contoso.com
    """
    body = _given(asked)
    if not body:
        raise click.UsageError("Name what changes: `--help` lists the options.")
    out.record(api.patch("callers", body, id=caller), FIELDS)


@callers.command("list")
@asking
def list_callers(api: Api, out: Out) -> None:
    r"""List all callers: keys, roles and aliases.

    \b
    Example:
      mailgrant callers list
    """
    answer = api.get("callers")
    _table(out, answer, answer["callers"], "none")


@callers.command("revoke")
@click.argument("caller", shell_complete=complete_callers)
@YES
@asking
def revoke_caller(api: Api, out: Out, caller: str, *, yes: bool) -> None:
    r"""Revoke a caller by its id, for ever. It takes up to 30 seconds.

    What it has handed in and is not sent yet stops.

    \b
    Example:
      mailgrant callers revoke lambda:invoices
    """
    _revoke(api, out, caller, yes=yes)


def _revoke(api: Api, out: Out, caller: str, *, yes: bool) -> None:
    agree(out, f"Revoke {caller} for ever?", yes=yes)
    out.answer(api.delete("callers", id=caller), f"{caller} is revoked.")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request: the options that were used, where "" and 0 say that there is no limit."""
    given = {field: value for field, value in options.items() if value not in (None, ())}
    for field in ("from_addresses", "reply_to_domains"):
        if field in given:
            given[field] = [one for one in given[field] if one]
    if "messages_per_minute" in given:
        given["messages_per_minute"] = given["messages_per_minute"] or None
    return given


def _table(out: Out, answer: Mapping[str, Any], found: Sequence[Mapping[str, Any]], none: str) -> None:
    rows = [{**caller, "state": _state(caller)} for caller in found]
    out.table(answer, rows, COLUMNS, below="id", none=none)


def _state(caller: Mapping[str, Any]) -> str:
    if caller["revoked_at"]:
        return f"revoked {moment(caller['revoked_at'])}"
    return f"expires {moment(caller['expires_at'])}" if caller["expires_at"] else "valid"
