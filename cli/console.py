"""The sandbox in the place of a provider's console: what a person does there is asked of its provider."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from chalicelib.accounts.models.account import AuthMode
from cli.api import Unreachable
from cli.config import CONFIGURATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.config import Config

SECONDS = 10
"""To wait for the provider, which is on this machine."""
MADE: Final = {"certificate": "init-client.pem", "service_account_key": "init-key.json"}
"""What is made up → the name of its file."""


PLAYED: Final = {"microsoft": "microsoft", "google": "google", "other": "openid"}
"""Provider of a connector → the part that the sandbox's provider plays."""
TENANT: Final = "contoso.example"
"""The tenant that is offered for an application which acts by itself."""


@dataclass(frozen=True)
class Console:
    """The sandbox's provider at `url`, and the page of its mailboxes. `ca` is the file of its CA.

    `other` has the answers about the provider that follows the standards, `federated` is the identity of the
    functions. `directory` is the sandbox's, where certificates and keys are put that are made up.
    """

    url: str
    mailboxes: str
    ca: str | None
    other: Mapping[str, str]
    federated: Mapping[str, str]
    directory: Path

    @classmethod
    def of(cls, found: Config) -> Console | None:
        """That of the sandbox which the configuration names; None for any other stage."""
        path = Path(found.source)
        if path.name != CONFIGURATION:
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        played = told["other"], told["federated"]
        return cls(told["provider"], told["mailboxes"], found.ca, *played, path.parent)

    def usual(self, provider: str, mode: AuthMode, name: str) -> str:
        """What is offered as an answer to a question about an app; "" for nothing."""
        if name == "client_secret":
            return secrets.token_urlsafe(24)
        if name in MADE:
            return str(self._made(name))
        by_itself = mode is AuthMode.CLIENT_CREDENTIALS
        if name == "tenant":
            return TENANT if by_itself else ""
        usual = {**self.other, "client_id": "init-app" if by_itself else f"init-{provider}"}
        return usual.get(name, "")

    def register_app(
        self, provider: str, mode: AuthMode, typed: Mapping[str, str], redirect_uris: list[str]
    ) -> None:
        """Registers an app as it was typed, or changes it. Raises Unreachable."""
        if "client_id" not in typed:
            if "service_account_key" in typed:
                self._delegate({})
            return
        app: dict[str, Any] = {
            "provider": PLAYED[provider],
            "client_id": typed["client_id"],
            "client_secret": typed.get("client_secret", ""),
        }
        if mode is AuthMode.CLIENT_CREDENTIALS:
            app |= {"tenant": typed["tenant"], "roles": ["SMTP.SendAsApp"], "keys": _certificates(typed)}
            app["federated"] = [dict(self.federated)]
        self._post("clients", {**app, "redirect_uris": redirect_uris})

    def prepare(self, connector: Mapping[str, Any], account: Mapping[str, Any], mode: AuthMode) -> None:
        """Gives a mailbox to a person, and does what its administrator would do. Raises Unreachable."""
        address = account["address"]
        self.register_mailbox(connector["provider"], account["signs_in_as"] or address)
        if mode is AuthMode.CLIENT_CREDENTIALS:
            self._allow({"address": address, "applications": [connector["client_id"]]})
        elif account["signs_in_as"]:
            self.register_mailbox(connector["provider"], address)
            person = [account["signs_in_as"]]
            self._allow({"address": address, "full_access": person, "send_as": person})
        elif mode is AuthMode.SERVICE_ACCOUNT:
            self._delegate({address.rpartition("@")[2]: ["https://mail.google.com/"]})

    def register_mailbox(self, provider: str, address: str, **more: str) -> None:
        """Gives a mailbox to a person. Raises Unreachable."""
        self._post("users", {"provider": PLAYED[provider], "address": address, **more})

    def take_password(self, provider: str, address: str, password: str) -> None:
        """Makes that the mailbox's app password. Raises Unreachable."""
        self.register_mailbox(provider, address, app_password=password)

    def _delegate(self, allowed: dict[str, list[str]]) -> None:
        """Registers the service account whose key was made up, with what each domain allows it."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_private_key,
        )

        key = json.loads(self._made("service_account_key").read_text(encoding="utf-8"))
        public = load_pem_private_key(key["private_key"].encode(), None).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        who = {"email": key["client_email"], "client_id": key["client_id"], "key_id": key["private_key_id"]}
        self._post("service-accounts", {**who, "public_key": pem, "delegations": allowed})

    def _made(self, name: str) -> Path:
        """The file of a certificate or key that the sandbox makes up where it is not there yet."""
        path = self.directory / MADE[name]
        if not path.exists():
            from sandbox.credentials import ClientCertificate, ServiceAccountKey

            text = (
                ClientCertificate.create().pem if name == "certificate" else ServiceAccountKey.create().text
            )
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
        return path

    def _allow(self, rights: dict[str, Any]) -> None:
        self._send(f"{self.mailboxes}/api/mailboxes", rights)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._send(f"{self.url}/_control/{path}", body)

    def _send(self, url: str, body: dict[str, Any]) -> None:
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.post(url, json=body, verify=self.ca or True, timeout=SECONDS)
                answer.raise_for_status()
            except requests.RequestException as error:
                raise Unreachable(self.url, "the sandbox does not answer") from error


def _certificates(typed: Mapping[str, str]) -> list[str]:
    """The certificate of the file that was typed, without its key."""
    file = Path(typed["certificate"]) if "certificate" in typed else None
    text = file.read_text(encoding="ascii", errors="replace") if file and file.is_file() else ""
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", text, re.DOTALL)
