"""The commands of ``./mailgrant``."""

from __future__ import annotations

import click

from cli import config
from cli.accounts import accounts, connect, connectors
from cli.api import Api, ApiError, Unreachable
from cli.callers import callers, keys
from cli.messages import messages, send
from cli.output import Commands, Out, asking, cannot_reach, refuse


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    r"""Mailgrant sends mail from other people's mailboxes, with their permission.

    \b
    A first message:
      mailgrant connectors add --provider google --name Google --client-id ID
      mailgrant accounts add --connector con_… sales@your.domain
      mailgrant send --account sales@your.domain --to you@example.com --subject Hi --text Hello
    """


@main.command()
@click.option("--url", required=True, help="The stage's public URL, as its deployment prints it.")
@click.option("--key", prompt=True, hide_input=True, help="An API key (mg_…); asked for when left out.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="The file of a private CA.")
def login(url: str, key: str, ca: str | None) -> None:
    """Check a URL and a key, and remember them."""
    found = config.checked({"url": url, "key": key.strip(), "ca": ca}, "the command")
    try:
        caller = Api(found).get("whoami")
    except ApiError as error:
        refuse(error, as_json=False)
    except Unreachable as error:
        cannot_reach(error, found.url, as_json=False)
    else:
        path = config.save(found)
        click.echo(
            f"You are {caller['name']} ({', '.join(caller['scopes'])}) at {found.url}. Saved in {path}."
        )


@main.command()
@asking
def whoami(api: Api, out: Out) -> None:
    """Show the caller that the key belongs to."""
    fields = ("id", "kind", "name", "scopes", "accounts", "created_at", "expires_at", "stage")
    out.record(api.get("whoami"), [(field, field.replace("_", " ")) for field in fields])


@main.command()
@asking
def status(api: Api, out: Out) -> None:
    """Show which stage answers, and how many accounts are in which status."""
    health = api.health()
    counts: dict[str, int] = {}
    for account in api.pages("accounts", "accounts"):
        counts[account["status"]] = counts.get(account["status"], 0) + 1
    answer = {"url": api.config.url, "configured_by": api.config.source, **health, "accounts": counts}
    shown = {**answer, "accounts": [f"{count} {name}" for name, count in sorted(counts.items())] or "none"}
    labels = [
        ("url", "URL"),
        ("configured_by", "set by"),
        ("stage", "stage"),
        ("status", "API"),
        ("accounts", "accounts"),
    ]
    out.record(answer if out.as_json else shown, labels)


for command in (connectors, accounts, connect, send, messages, keys, callers):
    main.add_command(command)
