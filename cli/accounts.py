"""Commands for connectors and accounts."""

from __future__ import annotations

import time
from typing import Any

import click

from cli.api import Api, part
from cli.output import NOT_SENT, Out, asking

POLL = 2.0
"""Seconds between two looks at an account that is being connected."""

CONNECTOR_FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("provider", "provider"),
    ("client_id", "client id"),
    ("tenant", "tenant"),
    ("redirect_uri", "redirect URI"),
    ("created_at", "created"),
    ("secret_saved_at", "secret saved"),
]
ACCOUNT_FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("address", "address"),
    ("display_name", "display name"),
    ("status", "status"),
    ("connector", "connector"),
    ("connected_at", "connected"),
    ("token_expires_at", "token expires"),
    ("refreshed_at", "refreshed"),
    ("lane", "mail"),
    ("connect_link", "connect link"),
    ("connect_link_expires_at", "link works until"),
]


@click.group()
def connectors() -> None:
    """The OAuth clients that are registered at Microsoft and Google."""


@connectors.command("add")
@click.option("--provider", type=click.Choice(["microsoft", "google"]), required=True)
@click.option("--name", required=True, help="What you call it.")
@click.option("--client-id", required=True)
@click.option(
    "--client-secret",
    envvar="MAILGRANT_CLIENT_SECRET",
    prompt=True,
    hide_input=True,
    help="Asked for when left out, which keeps it out of the shell's history.",
)
@click.option("--tenant", default="", help="Microsoft only: a directory id or domain; else common.")
@asking
def add_connector(api: Api, out: Out, **body: str) -> None:
    """Register an OAuth client. Its redirect URI is printed for copying."""
    connector = api.post("connectors", {name: value for name, value in body.items() if value})
    out.record(connector, CONNECTOR_FIELDS)
    out.say("\nRegister the redirect URI at the provider, character by character.")


@connectors.command("list")
@asking
def list_connectors(api: Api, out: Out) -> None:
    """List the connectors."""
    answer = api.get("connectors")
    columns = [("id", "ID"), ("provider", "Provider"), ("name", "Name"), ("client_id", "Client ID")]
    out.table(answer, answer["connectors"], columns)


@connectors.command("show")
@click.argument("connector")
@asking
def show_connector(api: Api, out: Out, connector: str) -> None:
    """Show one connector with its redirect URI."""
    out.record(api.get(f"connectors/{part(connector)}"), CONNECTOR_FIELDS)


@connectors.command("secret")
@click.argument("connector")
@click.option("--client-secret", envvar="MAILGRANT_CLIENT_SECRET", prompt=True, hide_input=True)
@asking
def replace_secret(api: Api, out: Out, connector: str, client_secret: str) -> None:
    """Replace a connector's client secret."""
    answer = api.put(f"connectors/{part(connector)}/secret", {"client_secret": client_secret})
    out.answer(answer, "The secret is replaced.")


@click.group()
def accounts() -> None:
    """The mailboxes that mail is sent from."""


@accounts.command("add")
@click.option("--connector", required=True, help="A connector's id.")
@click.option("--name", default="", help="What you call it; its address when left out.")
@click.option("--display-name", default="", help="The name in the From of its mail.")
@click.argument("address")
@asking
def add_account(api: Api, out: Out, **body: str) -> None:
    """Make an account. Its connect link is printed: its owner opens it."""
    _show(out, api.post("accounts", {name: value for name, value in body.items() if value}))


@accounts.command("list")
@asking
def list_accounts(api: Api, out: Out) -> None:
    """List the accounts with their status."""
    found = list(api.pages("accounts", "accounts"))
    columns = [("id", "ID"), ("name", "Name"), ("address", "Address"), ("status", "Status")]
    out.table({"accounts": found}, found, columns)


@accounts.command("show")
@click.argument("account")
@asking
def show_account(api: Api, out: Out, account: str) -> None:
    """Show one account, by id or name: status, token, last problem and its fix."""
    _show(out, api.get(f"accounts/{part(account)}"))


@click.command()
@click.argument("account")
@click.option("--wait", is_flag=True, help="Wait until the owner has connected it.")
@click.option(
    "--timeout", type=click.IntRange(0), default=600, show_default=True, help="Seconds to wait at most."
)
@asking
def connect(api: Api, out: Out, account: str, *, wait: bool, timeout: int) -> int | None:
    """Print a new connect link for an account, by id or name: to connect or to reconnect it."""
    path = f"accounts/{part(account)}"
    before = api.get(path)["connected_at"] if wait else None
    link = api.post(f"{path}/connect-link", {})
    if not wait:
        out.answer(link, link["connect_link"])
        return None
    # The link is needed while this waits, whatever the format of the answer.
    click.echo(link["connect_link"], err=out.as_json)
    found = _connected(api, path, before, timeout)
    if found is None:
        click.echo("It was not connected in time; the link still works.", err=True)
        return NOT_SENT
    out.answer(found, f"{found['address']} is connected.")
    return None


def _connected(api: Api, path: str, before: str | None, timeout: int) -> dict[str, Any] | None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = api.get(path)
        if found["connected_at"] not in (None, before):
            return found
        time.sleep(POLL)
    return None


def _show(out: Out, account: dict[str, Any]) -> None:
    out.record(account if out.as_json else {**account, "lane": _mail(account["lane"])}, ACCOUNT_FIELDS)


def _mail(lane: dict[str, Any]) -> str:
    if lane.get("closed"):
        return f"held ({lane['closed']})"
    return f"looked at next {lane['next_due_at']}" if lane.get("next_due_at") else "nothing waits"
