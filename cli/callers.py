"""Commands for API keys and for the other callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.output import Out, asking

if TYPE_CHECKING:
    from cli.api import Api

DAY = 86_400

FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("scopes", "scopes"),
    ("accounts", "accounts"),
    ("created_at", "created"),
    ("expires_at", "expires"),
    ("revoked_at", "revoked"),
]
COLUMNS = [
    ("id", "ID"),
    ("name", "Name"),
    ("scopes", "Scopes"),
    ("accounts", "Accounts"),
    ("revoked_at", "Revoked"),
]

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
    help='An account that it may use, by id or name, or "*"; may be repeated.',
)


@click.group()
def keys() -> None:
    """API keys."""


@keys.command("create")
@click.argument("name")
@SCOPES
@ACCOUNTS
@click.option("--days", type=click.IntRange(1, 3650), help="It expires after so many days.")
@asking
def create_key(
    api: Api, out: Out, name: str, scopes: tuple[str, ...], accounts: tuple[str, ...], days: int | None
) -> None:
    """Make an API key. Its text is shown now and never again."""
    body: dict[str, Any] = {"kind": "key", "name": name, "scopes": scopes, "accounts": accounts}
    if days:
        body["expires_in"] = days * DAY
    caller = api.post("callers", body)
    out.record(caller, FIELDS)
    out.say(f"\n{caller['key']}\n\nThis is the only time that the key is shown.")


@keys.command("list")
@asking
def list_keys(api: Api, out: Out) -> None:
    """List the API keys, without their texts."""
    found = [caller for caller in api.get("callers")["callers"] if caller["kind"] == "key"]
    out.table({"callers": found}, found, COLUMNS)


@keys.command("revoke")
@click.argument("key")
@asking
def revoke_key(api: Api, out: Out, key: str) -> None:
    """Revoke an API key by its id (key_…), for ever. It takes up to 30 seconds."""
    out.answer(api.delete("callers", id=key), f"{key} is revoked.")


@click.group()
def callers() -> None:
    """Everybody who may use the API or the function send."""


@callers.command("allow")
@click.argument("name")
@click.option("--role", "arn", help="The ARN of an IAM role or user, which signs its requests to /iam/v1.")
@click.option("--alias", help='An alias of the function send; "" is the function without an alias.')
@SCOPES
@ACCOUNTS
@asking
def allow(  # noqa: PLR0913 - the options of the command
    api: Api,
    out: Out,
    *,
    name: str,
    arn: str | None,
    alias: str | None,
    scopes: tuple[str, ...],
    accounts: tuple[str, ...],
) -> None:
    """Allow an IAM role, or an alias of the function send."""
    if (arn is None) == (alias is None):
        raise click.UsageError("Name either --role or --alias.")
    which = {"kind": "lambda", "alias": alias} if arn is None else {"kind": "role", "arn": arn}
    out.record(api.post("callers", {**which, "name": name, "scopes": scopes, "accounts": accounts}), FIELDS)


@callers.command("list")
@asking
def list_callers(api: Api, out: Out) -> None:
    """List all callers."""
    answer = api.get("callers")
    out.table(answer, answer["callers"], COLUMNS)


@callers.command("revoke")
@click.argument("caller")
@asking
def revoke_caller(api: Api, out: Out, caller: str) -> None:
    """Revoke a caller by its id, for ever. It takes up to 30 seconds."""
    out.answer(api.delete("callers", id=caller), f"{caller} is revoked.")
