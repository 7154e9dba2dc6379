"""Commands for accounts."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import Any, Final

import click

from cli.api import Api, part
from cli.commands import YES, Commands, agree, asking, fall_short
from cli.completion import account_argument
from cli.completion import connectors as complete_connectors
from cli.exits import DONE, FELL_SHORT
from cli.output import Out, moment
from cli.shown import called, consent, quoted, say_whose_turn_it_is, show_account

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


@accounts.command("add")
@click.option("--connector", required=True, shell_complete=complete_connectors, help="A connector's id.")
@click.option("--name", default="", help="What you call it; its address when left out.")
@click.option("--display-name", default="", help="The name in the From of its mail.")
@click.argument("address")
@asking
def add(api: Api, out: Out, **body: str) -> None:
    r"""Make an account. Its connect link is printed: its owner opens it.

    \b
    Example:
      mailgrant accounts add --connector con_q3vd0r8m2xkz5t7w1ybn ada@contoso.com
    """
    made = api.post("accounts", {name: value for name, value in body.items() if value})
    show_account(out, made)
    say_whose_turn_it_is(out, made)


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
        out.say(f"\n`mailgrant connect {quoted(found)}` prints a link by which its owner connects it.")


@click.command()
@account_argument
@click.option("--wait", is_flag=True, help="Wait until the owner has connected it.")
@click.option(
    "--timeout", type=click.IntRange(0), default=600, show_default=True, help="Seconds to wait at most."
)
@asking
def connect(api: Api, out: Out, account: str, *, wait: bool, timeout: int) -> int:
    r"""Print a new connect link for an account, to connect or to reconnect it.

    \b
    Examples:
      mailgrant connect sales --wait
      mailgrant accounts reconnect sales
    """
    path = f"accounts/{part(account)}"
    before = api.get(path)["connected_at"] if wait else None
    link = api.post(f"{path}/connect-link", {})
    if not wait:
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


accounts.add_command(connect)
accounts.add_command(connect, "reconnect")


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
@asking
def verify(api: Api, out: Out, account: str) -> int:
    r"""Sign in to the account's mail server and send nothing: exit code 0 if it works, 4 if not.

    \b
    Example:
      mailgrant accounts verify sales && echo "It can send."
    """
    found = api.post(f"accounts/{part(account)}/verify", {})
    steps = [{**step, "ok": "ok" if step["ok"] else "failed"} for step in found["steps"]]
    out.table(found, steps, [("step", "STEP"), ("ok", ""), ("ms", "MS"), ("said", "SAID")])
    out.problem(found.get("diagnosis"))
    return DONE if found["ok"] else FELL_SHORT


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
    agree(out, f"Disconnect {called(api.get(path))}? Only its owner can connect it again.", yes=yes)
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
    say_whose_turn_it_is(out, found)


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
