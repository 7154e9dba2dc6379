"""What is asked of a person about an app (a connector) of one way, and the API's fields for the answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from chalicelib.accounts.admin import checks
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.providers.catalogue import Catalogue
from cli import guide
from cli.credentials import of_certificate, of_service_account
from cli.facts import smtp_of
from cli.providers import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.init_ways import Way

CLIENT: Final = ("client_id", "tenant")
"""Answers that can be changed in a connector, besides what it proves itself with."""
HIDDEN: Final = frozenset({"client_secret"})
OPTIONS: Final = {"discovery": "--discover", "scopes": "--scope"}
"""An answer → its option, where that is not of the same name."""
KINDS: Final = {
    CredentialKind.CERTIFICATE: "a certificate: nothing secret is sent to the provider",
    CredentialKind.FEDERATED: "AWS vouches for it (federated): nothing is kept, nothing ends",
    CredentialKind.SECRET: "a client secret",
}
"""What an application that acts by itself can prove itself with → the choice that a person sees."""
CREDENTIALS: Final = {
    CredentialKind.SECRET: "client_secret",
    CredentialKind.CERTIFICATE: "certificate",
    CredentialKind.SERVICE_ACCOUNT: "service_account_key",
}
"""A credential → the answer that holds it; the others need none."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the options say; what is None or empty is asked for, or usual."""

    connector: str | None
    provider: str | None
    way: Way | None
    kind: CredentialKind | None
    client_id: str | None
    client_secret: str | None
    tenant: str | None
    cloud: str | None
    certificate: str | None
    service_account_key: str | None
    passphrase: bool
    discovery: str | None
    scopes: str | None
    facts: Mapping[str, Any]
    mailbox: str | None
    name: str | None
    signs_in_as: str | None
    smtp_user: str | None
    to: str | None
    timeout: int


@dataclass(frozen=True)
class App:
    """A connector that is being made, or mended: its provider, credential and way."""

    provider: str
    kind: CredentialKind
    way: Way
    given: Given

    def names(self, *, is_new: bool) -> list[str]:
        """What is asked, in this order."""
        needs_client = self.way.mode.needs_client
        asked = [*self._server(needs_client=needs_client)] if is_new or not needs_client else []
        if needs_client and self.kind is not CredentialKind.SERVICE_ACCOUNT:
            asked.append("client_id")
            asked += ["tenant"] if self.provider == "microsoft" else []
        return [*asked, *filter(None, [CREDENTIALS.get(self.kind)])]

    def _server(self, *, needs_client: bool) -> Sequence[str]:
        """What has to be said of a provider of which nothing is known."""
        if self.provider != "other":
            return ()
        own = self.given.facts
        wanted = {
            "discovery": needs_client and "authorize" not in own,
            "scopes": needs_client and "scopes" not in own,
            "smtp": "smtp_host" not in own,
        }
        return [name for name, needed in wanted.items() if needed]

    def question(self, name: str) -> str:
        """How it is asked for."""
        asked = {
            "client_id": guide.CLIENT_ID.get(self.provider, "Client ID"),
            "client_secret": guide.SECRET.get(self.provider, "Client secret"),
            "tenant": guide.TENANT if self.way.mode.has_owner else guide.ONE_TENANT,
        }
        return {**guide.QUESTIONS, **asked}[name]

    def usual(self, name: str) -> str:
        """The default of an answer; "" for none."""
        return "common" if name == "tenant" and self.way.mode.has_owner else ""

    def body(self, typed: Mapping[str, str]) -> dict[str, Any]:
        """The request for a new connector. Raises UsageError for a file or a server that is none."""
        facts = {**self.given.facts, **(smtp_of(typed["smtp"]) if "smtp" in typed else {})}
        body = {
            "provider": self.provider,
            "name": LABELS[self.provider],
            "cloud": self.given.cloud,
            "discovery": typed.get("discovery") or self.given.discovery,
            "scopes": (typed.get("scopes") or self.given.scopes or "").split(),
            "facts": facts,
            **{name: typed[name] for name in CLIENT if name in typed},
            **self.credential(typed),
        }
        return {name: value for name, value in body.items() if value not in (None, "", [], {})}

    def changes(self, typed: Mapping[str, str], connector: Mapping[str, Any]) -> dict[str, Any]:
        """The request that makes a connector as it was typed. Raises UsageError for what is no server."""
        changes: dict[str, Any] = {name: typed[name] for name in CLIENT if name in typed}
        if "smtp" in typed:
            changes["facts"] = {**connector["facts"], **smtp_of(typed["smtp"])}
        return changes

    def credential(self, typed: Mapping[str, str]) -> dict[str, Any]:
        """The API's fields for what the app proves itself with. Raises UsageError for a file that is none."""
        if self.kind is CredentialKind.SECRET:
            return {"client_secret": typed["client_secret"]}
        if self.kind is CredentialKind.CERTIFICATE:
            file = _file(typed["certificate"])
            is_encrypted = b"ENCRYPTED" in file.read_bytes()
            return of_certificate(file, passphrase=self.given.passphrase or is_encrypted)
        if self.kind is CredentialKind.SERVICE_ACCOUNT:
            return of_service_account(_file(typed["service_account_key"]))
        return {"credential": str(self.kind)}


def kinds(provider: Mapping[str, Any], way: Way) -> list[CredentialKind]:
    """What an app of a provider of ``GET /v1/providers`` can prove itself with, the usual one first."""
    if not way.mode.needs_client:
        return [CredentialKind.NONE]
    if way.mode.has_owner:
        is_public = Catalogue()[provider["name"]].client_auth == "none"
        return [CredentialKind.NONE if is_public else CredentialKind.SECRET]
    order = [*KINDS, CredentialKind.SERVICE_ACCOUNT]
    return [one for one in order if one in provider["credentials"] and way.mode in checks.MODES[one]]


def server_of(facts: Mapping[str, Any]) -> str:
    """The server of outgoing mail in a connector's own facts, as a person types it."""
    tls = "/tls" if facts.get("smtp_tls") == "implicit" else ""
    return f"{facts['smtp_host']}:{facts.get('smtp_port', 587)}{tls}"


def _file(text: str) -> Path:
    """The file with that name. Raises UsageError."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise click.UsageError(f"There is no file {text}.")
    return path
