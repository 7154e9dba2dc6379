"""What a client proves itself with at its provider: a command's options, and the API's fields for them."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from cli.commands import unseen

PEM: Final = b"-----BEGIN"
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

OPTIONS: Final = (
    click.option(
        "--client-secret",
        envvar="MAILGRANT_CLIENT_SECRET",
        help="Left out, which keeps it out of the shell's history, it is asked for, or read from standard "
        "input.",
    ),
    click.option(
        "--certificate", type=FILE, help="A certificate with its private key: PEM in one file, or PFX."
    ),
    click.option("--passphrase", is_flag=True, help="The certificate's file has one, which is asked for."),
    click.option("--service-account-key", type=FILE, help="Google only: a service account's JSON key."),
    click.option("--federated", is_flag=True, help="Microsoft only: AWS vouches for it; nothing is kept."),
    click.option(
        "--no-secret", is_flag=True, help="It has none: the client is public, or mailboxes have passwords."
    ),
)


def with_credential(command: Callable[..., int]) -> Callable[..., int]:
    """A command with the options of a credential; it is handed the API's fields as `credential`."""

    @functools.wraps(command)
    def read(
        *,
        client_secret: str | None,
        certificate: Path | None,
        passphrase: bool,
        service_account_key: Path | None,
        federated: bool,
        no_secret: bool,
        **rest: Any,
    ) -> int:
        others = {
            "--certificate": certificate,
            "--service-account-key": service_account_key,
            "--federated": federated,
            "--no-secret": no_secret,
        }
        _require_one([option for option, value in others.items() if value])
        if passphrase and not certificate:
            raise click.UsageError("--passphrase is that of a --certificate.")
        fields: dict[str, Any]
        if certificate:
            fields = of_certificate(certificate, passphrase=passphrase)
        elif service_account_key:
            fields = of_service_account(service_account_key)
        elif federated or no_secret:
            fields = {"credential": "federated" if federated else "none"}
        else:
            fields = {"client_secret": client_secret or unseen("Client secret", "--client-secret")}
        return command(credential=fields, **rest)

    for option in reversed(OPTIONS):
        read = option(read)
    return read


def of_certificate(file: Path, *, passphrase: bool) -> dict[str, Any]:
    """The API's fields for a certificate; its passphrase is asked for, if it has one."""
    content = file.read_bytes()
    if PEM in content:
        field = {"pem": content.decode("ascii", "replace")}
    else:
        field = {"pfx": base64.b64encode(content).decode()}
    if passphrase:
        field["passphrase"] = unseen("Passphrase of the certificate")
    return {"credential": "certificate", "certificate": field}


def of_service_account(file: Path) -> dict[str, Any]:
    """The API's fields for a service account's key."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return {"credential": "service_account", "service_account_key": text}


def _require_one(given: list[str]) -> None:
    """Raises UsageError for two credentials. A client secret of the environment gives way to another one."""
    source = click.get_current_context().get_parameter_source("client_secret")
    if source is ParameterSource.COMMANDLINE:
        given = ["--client-secret", *given]
    if len(given) > 1:
        raise click.UsageError(f"A client has one credential: {' or '.join(given)}.")
