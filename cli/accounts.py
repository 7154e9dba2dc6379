"""Commands for accounts."""

from __future__ import annotations

import time
from typing import Any

import click

from cli.api import Api, part
from cli.commands import YES, Commands, agree, asking
from cli.completion import account_argument
from cli.completion import connectors as complete_connectors
from cli.exits import DONE, FELL_SHORT
from cli.output import Out, moment

POLL = 2.0
"""Seconds between two looks at an account that is being connected."""

FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("address", "address"),
    ("display_name", "display name"),
    ("status", "status"),
    ("connector", "connector"),
    ("connected_at", "connected"),
    ("token_expires_at", "token expires"),
    ("refreshed_at", "refreshed"),
    ("paused", "paused"),
    ("disconnected", "disconnected"),
    ("lane", "mail"),
    ("connect_link", "connect link"),
    ("connect_link_expires_at", "link works until"),
]
COLUMNS = [("name", "NAME"), ("address", "ADDRESS"), ("status", "STATUS")]

CONSENT = {
    "revoked": "The consent is withdrawn at the provider.",
    "shared": "The consent stays: another account lives by it.",
    "unsupported": "The provider has no way for us to withdraw the consent; its owner can do that.",
    "failed": "The provider did not withdraw the consent; its owner can do that.",
    "nothing": "There was no consent.",
}
"""What became of the owner's consent, in a sentence."""


@click.group(cls=Commands)
def accounts() -> None:
    """The mailboxes that mail is sent from."""


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
    _show(out, api.post("accounts", {name: value for name, value in body.items() if value}))


@accounts.command("list")
@asking
def list_accounts(api: Api, out: Out) -> None:
    r"""List the accounts with their status.

    \b
    Example:
      mailgrant accounts list --json | jq -r '.accounts[].address'
    """
    found = list(api.pages("accounts", "accounts"))
    out.table({"accounts": found}, found, COLUMNS, below="id")


@accounts.command("show")
@account_argument
@asking
def show(api: Api, out: Out, account: str) -> None:
    r"""Show one account, by id or name: status, token, last problem and its fix.

    \b
    Example:
      mailgrant accounts show sales
    """
    _show(out, api.get(f"accounts/{part(account)}"))


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
    Example:
      mailgrant connect sales --wait
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
        click.echo("It was not connected in time; the link still works.", err=True)
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
    _show(out, api.patch(f"accounts/{part(account)}", body))


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
    out.answer(
        found, f"{found['name']} is paused. Its mail waits; `mailgrant accounts resume` lets it go on."
    )


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
    agree(out, f"Disconnect {_named(api, path)}? Only its owner can connect it again.", yes=yes)
    found = api.post(f"{path}/disconnect", {})
    out.answer(found, f"{found['name']} is disconnected. {CONSENT.get(found['revocation'], '')}")
    for url in found.get("withdraw", ()):
        out.say(f"  {url}")


def wait_for(api: Api, path: str, before: str | None, timeout: float) -> dict[str, Any] | None:
    """The account at that path once it was connected after `before`; None when that takes too long (s)."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = api.get(path)
        if found["connected_at"] not in (None, before):
            return found
        time.sleep(min(POLL, max(end - time.monotonic(), 0)))
    return None


def _named(api: Api, path: str) -> str:
    found = api.get(path)
    return found["address"] if found["name"] == found["address"] else f"{found['name']} ({found['address']})"


def _show(out: Out, account: dict[str, Any]) -> None:
    if out.as_json:
        return out.record(account, FIELDS)
    told = {
        "paused": _paused(account),
        "disconnected": _disconnected(account),
        "lane": _mail(account["lane"]),
    }
    return out.record({**account, **told}, FIELDS)


def _paused(account: dict[str, Any]) -> str:
    paused = account.get("paused")
    if not paused:
        return ""
    reason = f": {paused['reason']}" if paused["reason"] else ""
    return f"{moment(paused['at'])} by {paused['by']}{reason}"


def _disconnected(account: dict[str, Any]) -> str:
    last = account.get("disconnected")
    if not last or account["status"] != "disconnected":
        return ""
    return f"{moment(last['at'])} by {last['by']}. {CONSENT.get(last['revocation'], '')}"


def _mail(lane: dict[str, Any]) -> str:
    if lane.get("closed"):
        return f"held ({lane['closed']})"
    return f"looked at next {moment(lane['next_due_at'])}" if lane.get("next_due_at") else "nothing waits"
