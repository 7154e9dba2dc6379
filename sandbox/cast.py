"""Registers what a demo or a test needs: clients, connectors, mailboxes, accounts and people."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sandbox.api import Api
from sandbox.person import Person

if TYPE_CHECKING:
    from collections.abc import Collection

    from sandbox.stack import Sandbox

ProviderName = Literal["microsoft", "google"]


@dataclass
class Cast:
    """Everybody who plays a part, made as they are needed."""

    sandbox: Sandbox
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        """Speaks to the API as the sandbox's administrator."""
        self.api = Api(self.sandbox.url, self.sandbox.key, self.sandbox.authority.cafile)

    def connector(self, provider: ProviderName, **client: Any) -> dict[str, Any]:
        """Makes a connector, and registers its client at the provider, as an administrator would."""
        client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        connector = self.api.post(
            "/v1/connectors",
            {
                "provider": provider,
                "name": f"{provider} {client_id}",
                "client_id": client_id,
                "client_secret": secret,
            },
        )
        self.sandbox.provider.register_client(
            client_id, secret, [connector["redirect_uri"]], provider, **client
        )
        return connector

    def mailbox(self, provider: ProviderName, address: str, **facts: Any) -> str:
        """Registers a mailbox at the provider and returns its address."""
        self.sandbox.provider.register_user(address, provider=provider, **facts)
        return address

    def account(self, connector: dict[str, Any], address: str, **facts: Any) -> dict[str, Any]:
        """Makes an account that nobody has connected yet; the answer has its connect link."""
        return self.api.post("/v1/accounts", {"connector": connector["id"], "address": address, **facts})

    def connected(
        self,
        provider: ProviderName,
        address: str,
        *,
        connector: dict[str, Any] | None = None,
        untick: Collection[str] = (),
    ) -> dict[str, Any]:
        """Makes a mailbox and an account for it, and connects it through the real pages."""
        self.mailbox(provider, address)
        account = self.account(connector or self.connector(provider), address)
        shown = self.person().connect(account["connect_link"], mailbox=address, untick=untick)
        shown.raise_for_status()
        return self.api.get(f"/v1/accounts/{account['id']}")

    def person(self) -> Person:
        """Somebody with a browser of their own."""
        return Person(self.sandbox.authority.cafile)
