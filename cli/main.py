"""The commands of ``./mailgrant``."""

from __future__ import annotations

import click

from cli.accounts import accounts
from cli.api import Api
from cli.callers import HELD_TO, callers, keys
from cli.commands import Commands, asking
from cli.completion import completion
from cli.connectors import connectors
from cli.cost import cost
from cli.deploy import deploy, destroy
from cli.encryption import encryption
from cli.exits import MEANINGS
from cli.init import init
from cli.login import login
from cli.messages import messages
from cli.moving import import_accounts
from cli.output import Out
from cli.providers import providers
from cli.send import send
from cli.status import status
from cli.version import version
from cli.ways import connect

EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(version(), prog_name="mailgrant", help="Show the version and exit.")
def main() -> None:
    r"""Mailgrant sends mail from other people's mailboxes, with their permission.

    \b
    From nothing to a first message, step by step:
      mailgrant init
    The same by single commands:
      mailgrant connectors add --provider google --name Google --client-id ID
      mailgrant accounts add --connector con_… sales@your.domain
      mailgrant send --account sales@your.domain --to you@example.com --text Hello
    """


@main.command()
@asking
def whoami(api: Api, out: Out) -> None:
    r"""Show the caller that the key belongs to.

    \b
    Example:
      mailgrant whoami
    """
    fields = ("id", "kind", "name", "scopes", "accounts", "created_at", "expires_at", "stage")
    out.record(api.get("whoami"), [*((field, field.removesuffix("_at")) for field in fields), *HELD_TO])


accounts.add_command(import_accounts)
for command in (
    *(init, login, providers, connectors, accounts, connect, send, messages, keys, callers, status),
    *(encryption, deploy, destroy, cost, completion),
):
    main.add_command(command)
