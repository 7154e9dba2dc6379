"""Commands that connect mailboxes: by their owner's link, at once, by a sign-in here, or from an export."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from chalicelib.accounts.models.account import AuthMode, FromPolicy
from cli.accounts import accounts, wait_for
from cli.api import Api, part
from cli.commands import asking, fall_short, unseen
from cli.completion import account_argument
from cli.completion import accounts as complete_accounts
from cli.completion import connectors as complete_connectors
from cli.credentials import FILE
from cli.exits import DONE, FELL_SHORT
from cli.shown import has_owner, say_whose_turn_it_is, show_account, show_connection

if TYPE_CHECKING:
    from cli.output import Out

MODES: Final = [str(mode) for mode in AuthMode]
OWNERS: Final = str(AuthMode.AUTHORIZATION_CODE)

CREDENTIALS: Final = (
    click.option(
        "--auth-mode",
        type=click.Choice(MODES),
        help="How it proves itself; by its owner's consent unless told.",
    ),
    click.option("--password", is_flag=True, help="By its password, asked for, or read from standard input."),
    click.option(
        "--refresh-token",
        is_flag=True,
        help="By a refresh token of another system, asked for, or read from standard input.",
    ),
)
MAILING: Final = (
    click.option("--display-name", help="The name in the From of its mail."),
    click.option("--signs-in-as", help="Of a shared mailbox: the address of the person who signs in."),
    click.option("--smtp-user", help="The user name at the mail server, where it is not the address."),
    click.option(
        "--reads-with",
        shell_complete=complete_accounts,
        help="The account, by id or name, by whose consent IMAP and POP3 are read.",
    ),
    click.option(
        "--from-policy",
        type=click.Choice([str(policy) for policy in FromPolicy]),
        help="What becomes of mail from an address that it may not use.",
    ),
    click.option(
        "--from-address", "from_addresses", multiple=True, help="An address that it may use; may be repeated."
    ),
    click.option(
        "--always-name/--own-name",
        default=None,
        help="Whether all its mail bears its display name, whatever a message asks for.",
    ),
)
"""What an account may hold besides, as the API's fields."""


def with_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A command with these options, in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@accounts.command("add")
@click.option("--connector", required=True, shell_complete=complete_connectors, help="A connector's id.")
@click.option("--name", help="What you call it; its address when left out.")
@with_options(*MAILING, *CREDENTIALS)
@click.argument("address")
@asking
def add(
    api: Api, out: Out, *, auth_mode: str | None, password: bool, refresh_token: bool, **body: Any
) -> int:
    r"""Make an account. Its connect link is printed for its owner; without an owner it is connected at once.

    \b
    Examples:
      mailgrant accounts add --connector con_q3vd0r8m2xkz5t7w1ybn ada@contoso.com
      mailgrant accounts add --connector con_q3vd0r8m2xkz5t7w1ybn \
        --password ada@example.com
    """
    proof = _proof(auth_mode, password=password, refresh_token=refresh_token)
    given = {name: value for name, value in body.items() if value not in (None, "", ())}
    made = api.post("accounts", {**given, **proof})
    show_account(out, made)
    if made.get("connect_link"):
        say_whose_turn_it_is(out, made)
        return DONE
    return show_connection(out, made, shown=True)


@accounts.command("update")
@account_argument
@with_options(*MAILING)
@asking
def update(api: Api, out: Out, account: str, **changes: Any) -> None:
    r"""Change what an account holds besides its name. What is left out stays as it is.

    The addresses that it may use are replaced together; --from-address "" takes all of them away.

    \b
    Example:
      mailgrant accounts update sales --from-address info@contoso.com
    """
    body = {name: value for name, value in changes.items() if value not in (None, ())}
    if not body:
        raise click.UsageError("Name what changes: `--help` lists the options.")
    if "from_addresses" in body:
        body["from_addresses"] = [one for one in body["from_addresses"] if one]
    show_account(out, api.patch(f"accounts/{part(account)}", body))


@click.command()
@account_argument
@with_options(*CREDENTIALS)
@click.option("--local", is_flag=True, help="Its owner signs in on this machine, over http://localhost.")
@click.option("--redirect-uri", help="With --local: what is registered, as http://localhost:9999/callback.")
@click.option("--certificate", type=FILE, help="With --local: the client's certificate and private key.")
@click.option("--wait", is_flag=True, help="Wait until the owner has connected it.")
@click.option(
    "--timeout", type=click.IntRange(0), default=600, show_default=True, help="Seconds to wait at most."
)
@asking
def connect(  # noqa: PLR0913 - its options
    api: Api,
    out: Out,
    account: str,
    *,
    auth_mode: str | None,
    password: bool,
    refresh_token: bool,
    local: bool,
    redirect_uri: str | None,
    certificate: Path | None,
    wait: bool,
    timeout: int,
) -> int:
    r"""Print a new connect link for an account, to connect or to reconnect it.

    An account without an owner is connected at once, as before. With --auth-mode, --password or
    --refresh-token that is how it is connected, and with --local by a sign-in in a browser of this machine.
    The way before can be had back for 7 days: see
    `accounts rollback`.

    \b
    Examples:
      mailgrant connect sales --wait
      mailgrant accounts reconnect sales
      mailgrant accounts connect sales --auth-mode client_credentials
      mailgrant accounts connect sales --local
    """
    path = f"accounts/{part(account)}"
    proof = _proof(auth_mode, password=password, refresh_token=refresh_token)
    if local and proof:
        raise click.UsageError("--local is a way of its own: leave --auth-mode and the others out.")
    if (redirect_uri or certificate) and not local:
        raise click.UsageError("--redirect-uri and --certificate belong to --local.")
    if local:
        from cli.desk import sign_in  # it loads what speaks to providers, which nothing else needs

        return sign_in(api, out, path, redirect_uri, certificate, timeout)
    if not proof:
        found = api.get(path)
        if auth_mode or has_owner(found):
            return _link(api, out, path, account, found["connected_at"], timeout if wait else None)
        proof = _own_proof(found)
    return show_connection(out, api.post(f"{path}/connect", proof))


accounts.add_command(connect)
accounts.add_command(connect, "reconnect")


@accounts.command("rollback")
@account_argument
@asking
def rollback(api: Api, out: Out, account: str) -> int:
    r"""Connect an account as it was before its auth mode was switched, within 7 days.

    \b
    Example:
      mailgrant accounts rollback sales
    """
    return show_connection(out, api.post(f"accounts/{part(account)}/rollback", {}))


def _proof(auth_mode: str | None, *, password: bool, refresh_token: bool) -> dict[str, str]:
    """What the account proves itself with, as the API's fields; {} for its owner's consent by a link."""
    if password and refresh_token:
        raise click.UsageError("An account has --password or --refresh-token.")
    wanted = {"password": password, OWNERS: refresh_token}
    mode = auth_mode or next((name for name, given in wanted.items() if given), None)
    if any(given and name != mode for name, given in wanted.items()):
        raise click.UsageError(f"This does not belong to the auth mode {mode}.")
    if mode == "password":
        return {"auth_mode": mode, "password": unseen("Password")}
    if refresh_token:
        return {"auth_mode": OWNERS, "refresh_token": unseen("Refresh token")}
    return {} if mode in (None, OWNERS) else {"auth_mode": str(mode)}


def _own_proof(account: dict[str, Any]) -> dict[str, str]:
    """As _proof, of an account that has no owner and is to be connected as before."""
    mode = account["auth_mode"]
    return _proof(mode, password=mode == "password", refresh_token=False)


def _link(api: Api, out: Out, path: str, account: str, before: str | None, timeout: int | None) -> int:
    """Prints a link, and waits for so many seconds; None waits for nobody."""
    link = api.post(f"{path}/connect-link", {})
    if timeout is None:
        out.answer(link, link["connect_link"])
        return DONE
    out.tell(link["connect_link"])
    found = wait_for(api, path, before, timeout)
    if found is None:
        fix = f"The link still works: `mailgrant connect {shlex.quote(account)} --wait` waits with a new one."
        fall_short("not_in_time", f"It was not connected within {timeout} s.", fix, as_json=out.as_json)
        return FELL_SHORT
    out.answer(found, f"{found['address']} is connected.")
    return DONE
