"""Commands for accounts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import click

from cli.api import Api, part
from cli.commands import YES, Commands, agree, asking
from cli.completion import account_argument
from cli.doctor import doctor_of
from cli.output import Out, moment
from cli.shown import (
    called,
    consent,
    has_owner,
    how_to_connect,
    quoted,
    say_whose_turn_it_is,
    show_account,
    show_steps,
)

POLL = 2.0
"""Seconds between two looks at an account that is being connected."""

COLUMNS = [("name", "NAME"), ("address", "ADDRESS"), ("status", "STATUS")]

NEEDS_OWNER: Final = frozenset({"disconnected", "needs_reconnect"})
"""Status in which the mailbox's owner has to sign in."""

NONE_YET: Final = "No account yet: `mailgrant accounts add --connector CONNECTOR ADDRESS` makes one."


@click.group(cls=Commands)
def accounts() -> None:
    r"""The mailboxes that mail is sent from.

    \b
    Examples:
      mailgrant accounts list
      mailgrant accounts add --connector con_q3vd0r8m2xkz5t7w1ybn ada@contoso.com
    """


@accounts.command("list")
@asking
def list_accounts(api: Api, out: Out) -> None:
    r"""List the accounts with their status.

    \b
    Example:
      mailgrant accounts list --json | jq -r '.accounts[].address'
    """
    found = list(api.pages("accounts", "accounts"))
    out.table({"accounts": found}, found, COLUMNS, below="id", none=NONE_YET)


@accounts.command("show")
@account_argument
@asking
def show(api: Api, out: Out, account: str) -> None:
    r"""Show one account, by id or name: status, token, last problem and its fix.

    \b
    Example:
      mailgrant accounts show sales
    """
    found = api.get(f"accounts/{part(account)}")
    show_account(out, found)
    if found["status"] in NEEDS_OWNER:
        out.say(f"\n{how_to_connect(found)}")


@accounts.command("rename")
@account_argument
@click.argument("name", required=False)
@click.option("--display-name", help='The name in the From of its mail; "" for none.')
@asking
def rename(api: Api, out: Out, account: str, name: str | None, display_name: str | None) -> None:
    r"""Give an account another name, or its mail another name in From. Its id and its mail stay.

    \b
    Example:
      mailgrant accounts rename sales orders --display-name "Orders desk"
    """
    body = {key: text for key, text in (("name", name), ("display_name", display_name)) if text is not None}
    if not body:
        raise click.UsageError("Give a new name, or --display-name.")
    show_account(out, api.patch(f"accounts/{part(account)}", body))


@accounts.command("pause")
@account_argument
@click.option("--reason", default="", help="Why, for whoever looks at the account.")
@asking
def pause(api: Api, out: Out, account: str, reason: str) -> None:
    r"""Hold an account's mail: it is accepted, and waits until `resume`.

    \b
    Example:
      mailgrant accounts pause sales --reason "Moving to another tenant"
    """
    found = api.post(f"accounts/{part(account)}/pause", {"reason": reason} if reason else {})
    end = f"`mailgrant accounts resume {quoted(found)}` lets it go on."
    out.answer(found, f"{found['name']} is paused. Its mail waits; {end}")


@accounts.command("resume")
@account_argument
@asking
def resume(api: Api, out: Out, account: str) -> None:
    r"""Let a paused account's mail go on.

    \b
    Example:
      mailgrant accounts resume sales
    """
    found = api.post(f"accounts/{part(account)}/resume", {})
    out.answer(found, f"{found['name']} is {found['status']}.")
    out.problem(found["problem"])


@accounts.command("verify")
@account_argument
@click.option(
    "--protocol",
    type=click.Choice(["smtp", "imap", "pop", "graph", "gmail"]),
    help="Another way than the one it sends by.",
)
@asking
def verify(api: Api, out: Out, account: str, protocol: str | None) -> int:
    r"""Sign in to the account's mail server and send nothing: exit code 0 if it works, 4 if not.

    \b
    Examples:
      mailgrant accounts verify sales && echo "It can send."
      mailgrant accounts verify sales --protocol imap
    """
    query = f"?protocol={protocol}" if protocol else ""
    return show_steps(out, api.post(f"accounts/{part(account)}/verify{query}", {}))


@accounts.command("doctor")
@account_argument
@asking
def doctor(api: Api, out: Out, account: str) -> int:
    r"""Look for what is wrong with an account: exit code 1 if something is.

    \b
    Example:
      mailgrant accounts doctor sales
    """
    return doctor_of(out, api.get(f"accounts/{part(account)}/doctor"))


@accounts.command("disconnect")
@account_argument
@YES
@asking
def disconnect(api: Api, out: Out, account: str, *, yes: bool) -> None:
    r"""Withdraw the owner's consent and delete the tokens. Mail that waits is held.

    Sending from it needs its owner again: see `mailgrant connect`.

    \b
    Example:
      mailgrant accounts disconnect sales
    """
    path = f"accounts/{part(account)}"
    found = api.get(path)
    whose = "Only its owner can" if has_owner(found) else "It takes an administrator to"
    agree(out, f"Disconnect {called(found)}? {whose} connect it again.", yes=yes)
    found = api.post(f"{path}/disconnect", {})
    out.answer(found, f"{found['name']} is disconnected. {consent(found)}")


@accounts.command("delete")
@account_argument
@YES
@asking
def delete(api: Api, out: Out, account: str, *, yes: bool) -> None:
    r"""Disconnect an account and delete it with the mail that waits. Within 7 days it can be restored.

    \b
    Example:
      mailgrant accounts delete sales
    """
    path = f"accounts/{part(account)}"
    agree(out, f"Delete {called(api.get(path))}, with the mail that waits?", yes=yes)
    found = api.delete(path)
    until = moment(found["restorable_until"])
    undo = f"`mailgrant accounts restore {quoted(found)}` undoes it until {until}."
    out.answer(found, f"{found['name']} is deleted. {consent(found)}\n{undo}")


@accounts.command("restore")
@account_argument
@asking
def restore(api: Api, out: Out, account: str) -> None:
    r"""Take back the deletion of an account, by id or name. Its connect link is printed.

    \b
    Example:
      mailgrant accounts restore sales
    """
    found = api.post(f"accounts/{part(account)}/restore", {})
    show_account(out, found)
    if found.get("connect_link"):
        say_whose_turn_it_is(out, found)
    else:
        out.say(f"\n{how_to_connect(found)}")


def wait_for(
    api: Api,
    path: str,
    before: str | None,
    timeout: float,
    meanwhile: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any] | None:
    """The account at that path once it was connected after `before`; None when that takes too long (s).

    `meanwhile` is handed the account at each look at which it is not connected yet.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = api.get(path)
        if found["connected_at"] not in (None, before):
            return found
        if meanwhile is not None:
            meanwhile(found)
        time.sleep(min(POLL, max(end - time.monotonic(), 0)))
    return None
