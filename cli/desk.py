"""``mailgrant connect --local``: an account is connected by a sign-in in a browser of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chalicelib.errors import MailgrantError
from chalicelib.providers import certificates
from chalicelib.secret import Secret
from cli import local
from cli.api import part
from cli.commands import fall_short, unseen
from cli.exits import FELL_SHORT
from cli.shown import show_connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.connector import Connector
    from cli.api import Api
    from cli.output import Out


def sign_in(
    api: Api, out: Out, path: str, redirect_uri: str | None, certificate: Path | None, timeout: int
) -> int:
    """Connects the account at that path of the API; the exit code."""
    try:
        token = token_of(api, out, api.get(path), redirect_uri, certificate, timeout)
    except MailgrantError as error:
        fall_short(error.error_code, error.message, error.fix, as_json=out.as_json)
        return FELL_SHORT
    body = {"auth_mode": "authorization_code", "refresh_token": token.reveal()}
    return show_connection(out, api.post(f"{path}/connect", body))


def token_of(
    api: Api,
    out: Out,
    account: Mapping[str, Any],
    redirect_uri: str | None,
    certificate: Path | None,
    timeout: int,
) -> Secret:
    """The refresh token that a sign-in on this machine gives, after at most so many seconds.

    Raises MailgrantError, also for nobody who comes back (code ``not_in_time``), and UsageError.
    """
    connector = local.connector_of(api.get(f"connectors/{part(account['connector'])}"))
    uri = local.redirect_uri_of(connector.provider, redirect_uri)
    provider = local.provider_of(connector, api.config.ca)

    def invite(url: str) -> None:
        out.tell(f"{uri} has to be registered with the client.")
        out.tell(f"{_owner(account)} opens this here:\n\n{url}\n")

    try:
        return local.refresh_token_of(
            provider,
            connector,
            _credential(connector, provider.facts.client_auth, certificate),
            redirect_uri=uri,
            login_hint=_owner(account),
            timeout=timeout,
            invite=invite,
        )
    except local.NotSignedIn as error:
        fix = "Run it again, and open the address in a browser of this machine."
        raise MailgrantError(f"Nobody signed in within {timeout} s.", fix=fix, code="not_in_time") from error


def _owner(account: Mapping[str, Any]) -> str:
    return str(account.get("signs_in_as") or account["address"])


def _credential(connector: Connector, client_auth: str, certificate: Path | None) -> Secret:
    """What the client proves itself with from here: the stage's own never leaves it. Raises UsageError."""
    kind = connector.credential
    if kind in {kind.FEDERATED, kind.SERVICE_ACCOUNT}:
        raise click.UsageError(f"A connector with the credential {kind} cannot be used from here.")
    if kind is kind.NONE or client_auth == "none":
        return Secret("")
    if kind is kind.CERTIFICATE:
        if certificate is None:
            raise click.UsageError("The client proves itself by its certificate: add --certificate FILE.")
        return _read(certificate)
    return Secret(os.environ.get("MAILGRANT_CLIENT_SECRET") or unseen("Client secret of the connector"))


def _read(certificate: Path) -> Secret:
    content = certificate.read_bytes()
    try:
        if b"-----BEGIN" not in content:
            return certificates.from_pfx(content, _passphrase())
        passphrase = _passphrase() if b"ENCRYPTED" in content else ""
        return certificates.from_pem(content.decode("ascii", "replace"), passphrase)
    except MailgrantError as error:
        raise click.UsageError(f"{error.message} {error.fix}") from error


def _passphrase() -> str:
    asked = "Passphrase of the certificate (empty for none)"
    return str(click.prompt(asked, default="", hide_input=True, show_default=False, err=True))
