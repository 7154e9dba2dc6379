"""The options of ``mailgrant init``: each answers one of its questions, so that nobody need be asked."""

from __future__ import annotations

from typing import Any, Final

import click

from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.connector import CredentialKind
from cli import init_ways
from cli.completion import connectors
from cli.init_app import Given
from cli.providers import CLOUDS, LABELS
from cli.ways import CREDENTIALS

FILE: Final = click.Path(exists=True, dir_okay=False)
OPTIONS: Final = (
    click.option("--connector", help="A connector that is there, by id or name.", shell_complete=connectors),
    click.option("--provider", type=click.Choice(list(LABELS)), help="Who has the mailbox."),
    *CREDENTIALS,
    click.option(
        "--local", "here", is_flag=True, help="You sign in as the mailbox in a browser of this machine."
    ),
    click.option("--client-id", help="The app's client id; a connector that has it is used again."),
    click.option(
        "--client-secret", envvar="MAILGRANT_CLIENT_SECRET", help="Better asked for, or in the environment."
    ),
    click.option("--certificate", type=FILE, help="The app's certificate with its private key: PEM or PFX."),
    click.option("--passphrase", is_flag=True, help="The certificate's file has one, which is asked for."),
    click.option("--federated", is_flag=True, help="Microsoft only: AWS vouches for the app."),
    click.option("--service-account-key", type=FILE, help="Google only: a service account's JSON key."),
    click.option("--no-secret", is_flag=True, help="The app has none: it is a public one."),
    click.option("--tenant", help="Microsoft only: a directory id or domain; else common."),
    click.option("--cloud", type=click.Choice(CLOUDS), help="Microsoft only; global unless it is named."),
    click.option("--discover", "discovery", help="Of the provider `other`: its issuer."),
    click.option("--scope", "scopes", multiple=True, help="What owners are asked for; may be repeated."),
    click.option("--mailbox", help="The address that shall send; an account that has it is used again."),
    click.option("--name", help="What the account is called; its address when left out."),
    click.option("--signs-in-as", help="Of a shared mailbox: the address of the person who signs in."),
    click.option("--smtp-user", help="The user name at the mail server, where it is not the address."),
    click.option("--to", help="Who gets the test message; the mailbox itself when left out."),
    click.option(
        "--timeout",
        type=click.IntRange(1),
        default=900,
        show_default=True,
        help="Seconds to wait for each thing.",
    ),
)


def given_of(
    *,
    auth_mode: str | None,
    password: bool,
    refresh_token: bool,
    here: bool,
    scopes: tuple[str, ...],
    **answers: Any,
) -> Given:
    """What the options say. Raises UsageError where they contradict each other."""
    kinds = {
        CredentialKind.CERTIFICATE: answers["certificate"],
        CredentialKind.FEDERATED: answers.pop("federated"),
        CredentialKind.SERVICE_ACCOUNT: answers["service_account_key"],
        CredentialKind.NONE: answers.pop("no_secret"),
    }
    named = [kind for kind, value in kinds.items() if value]
    if len(named) > 1:
        raise click.UsageError("An app has one credential.")
    robot = [str(AuthMode.SERVICE_ACCOUNT)] if named == [CredentialKind.SERVICE_ACCOUNT] else []
    way = init_ways.wanted(
        auth_mode,
        *robot,
        password=password,
        refresh_token=refresh_token,
        here=here,
        signs_in_as=answers["signs_in_as"],
    )
    return Given(way=way, kind=named[0] if named else None, scopes=" ".join(scopes) or None, **answers)
