"""The sandbox in the place of a provider's console: what a person does there is asked of its provider."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from cli.api import Unreachable
from cli.config import CONFIGURATION

if TYPE_CHECKING:
    from cli.config import Config

SECONDS = 10
"""To wait for the provider, which is on this machine."""


@dataclass(frozen=True)
class Console:
    """The sandbox's provider at `url`, and the page of its mailboxes. `ca` is the file of its CA."""

    url: str
    mailboxes: str
    ca: str | None

    @classmethod
    def of(cls, found: Config) -> Console | None:
        """That of the sandbox which the configuration names; None for any other stage."""
        path = Path(found.source)
        if path.name != CONFIGURATION:
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(told["provider"], told["mailboxes"], found.ca)

    def register_app(self, provider: str, client_id: str, secret: str, redirect_uris: list[str]) -> None:
        """Registers an app, or changes it. Raises Unreachable."""
        app = {"provider": provider, "client_id": client_id, "client_secret": secret}
        self._post("clients", {**app, "redirect_uris": redirect_uris})

    def register_mailbox(self, provider: str, address: str) -> None:
        """Gives a mailbox to a person. Raises Unreachable."""
        self._post("users", {"provider": provider, "address": address})

    def _post(self, path: str, body: dict[str, Any]) -> None:
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.post(
                    f"{self.url}/_control/{path}", json=body, verify=self.ca or True, timeout=SECONDS
                )
                answer.raise_for_status()
            except requests.RequestException as error:
                raise Unreachable(self.url, "the sandbox does not answer") from error
