"""The accounts side, assembled from its real parts: a local AWS and the sandbox's provider on loopback."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib import clock
from chalicelib.accounts.access import AccessTokens
from chalicelib.accounts.connect import Connect
from chalicelib.accounts.consent import Consents
from chalicelib.accounts.keeping import Keeper
from chalicelib.accounts.refreshing import Refresher
from chalicelib.accounts.registry import Registry
from chalicelib.accounts.sign_ins import SignIns
from chalicelib.accounts.stores import Stores
from chalicelib.accounts.tokens import Tokens
from chalicelib.aws.queues import Queue
from chalicelib.aws.secrets import ConnectorSecrets
from chalicelib.aws.tables.access_tokens import AccessTokensTable
from chalicelib.aws.tables.accounts import AccountsTable
from chalicelib.aws.tables.authorizations import AuthorizationsTable
from chalicelib.aws.tables.connectors import ConnectorsTable
from chalicelib.aws.tables.grants import GrantsTable
from chalicelib.aws.vault import Vault
from chalicelib.providers import providers
from chalicelib.providers.catalogue import catalogue
from sandbox.certs import Authority
from sandbox.provider import ControlClient, Provider
from sandbox.provider.scripted import consent
from tests.unit.aws_tables import aws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chalicelib.accounts.models import Account, Connector
    from chalicelib.settings import Settings
    from tests.unit.aws_tables import Aws

__all__ = ["aws", "people", "world"]

PUBLIC_URL = "https://mail.example"


@dataclass(frozen=True)
class Inviter:
    """Whoever makes connect links in tests."""

    name: str = "Tests"


@dataclass
class World:
    """The services, and what a test does with them. `now` may be moved forward; `used` plays the lanes."""

    aws: Aws
    provider: Provider
    control: ControlClient
    authority: Authority
    later: int = 0
    used: dict[str, int] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def now(self) -> int:
        """The time, as far as a test has moved it."""
        return clock.now() + self.later

    @cached_property
    def settings(self) -> Settings:
        """The deployment's settings."""
        url = self.provider.url
        google = {
            "authorize": f"{url}/o/oauth2/v2/auth",
            "token": f"{url}/token",
            "revoke": f"{url}/revoke",
            "jwks": f"{url}/oauth2/v3/certs",
            "issuer": url,
        }
        endpoints = {"microsoft": {"login": url}, "google": google}
        return replace(self.aws.settings, provider_endpoints=endpoints, extra_ca=self.authority.pem)

    @cached_property
    def stores(self) -> Stores:
        """The tables."""
        client, table = self.aws.clients.dynamodb, self.settings.table
        accounts = AccountsTable(client, table("accounts"))
        authorizations = AuthorizationsTable(client, table("authorizations"))
        grants = GrantsTable(client, table("grants"), self.access_tokens, accounts, authorizations)
        return Stores(accounts, ConnectorsTable(client, table("connectors")), authorizations, grants)

    @cached_property
    def access_tokens(self) -> AccessTokensTable:
        """The table of access tokens."""
        return AccessTokensTable(self.aws.clients.dynamodb, self.settings.table("access-tokens"))

    @cached_property
    def grants_vault(self) -> Vault:
        """The vault of refresh tokens."""
        return self.vault("grants", self.settings.grants_key_arn)

    @cached_property
    def tokens_vault(self) -> Vault:
        """The vault of access tokens."""
        return self.vault("access-tokens", self.settings.access_tokens_key_arn)

    def vault(self, noun: str, key: str) -> Vault:
        """A vault with nothing remembered."""
        return Vault(self.aws.clients.kms, key, self.settings.table(noun), self.settings.stage)

    @cached_property
    def secrets(self) -> ConnectorSecrets:
        """The credentials."""
        return ConnectorSecrets(self.aws.clients.secretsmanager, self.settings.secret_name)

    @cached_property
    def rescue(self) -> Queue:
        """The rescue queue."""
        return Queue(self.aws.clients.sqs, self.settings.rescue_queue_url)

    @cached_property
    def keeper(self) -> Keeper:
        """Seals and saves."""
        return Keeper(self.stores.grants, self.grants_vault, self.tokens_vault, self.rescue, self.now)

    @cached_property
    def registry(self) -> Registry:
        """Connectors, accounts, links."""
        stores = self.stores
        facts = catalogue(self.settings.provider_endpoints)
        return Registry(stores.connectors, stores.accounts, stores.authorizations, facts, self.now)

    @cached_property
    def connect(self) -> Connect:
        """Sign-ins."""
        stores = self.stores
        consents = Consents(stores.grants, stores.connectors, self.keeper, self.opened.append, self.now)
        sign_ins = SignIns(stores.authorizations, self.grants_vault, lambda: PUBLIC_URL, self.now)
        known = providers(self.settings, self.now)
        return Connect(stores, known, self.secrets, sign_ins, consents, self.now)

    @cached_property
    def tokens(self) -> Tokens:
        """The care of tokens."""
        stores = self.stores
        refresher = Refresher(stores.grants, stores.connectors, self.secrets, self.keeper, self.now)
        known = providers(self.settings, self.now)
        return Tokens(stores, known, refresher, self.keeper, self.used.get, self.now)

    @cached_property
    def access(self) -> AccessTokens:
        """What the relay has."""

        def ask(account: str, failed_version: int | None) -> None:
            self.tokens.ensure(account, failed_version=failed_version)

        return AccessTokens(self.access_tokens, self.tokens_vault.open, ask, self.now)

    def connector(self, provider: Literal["microsoft", "google"], **client: Any) -> Connector:
        """A connector that is registered at the provider."""
        client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        connector = self.registry.new_connector(provider, "", client_id, "")
        redirect_uri = f"{PUBLIC_URL}/oauth/callback/{connector.id}"
        self.control.register_client(client_id, secret, [redirect_uri], provider, **client)
        self.connect.save_secret(connector.id, secret)
        return self.registry.add_connector(connector)

    def account(self, connector: Connector, address: str | None = None) -> Account:
        """An account, not connected yet, of a mailbox that the provider knows."""
        address = address or f"ada-{secrets.token_hex(4)}@mail.example"
        self.control.register_user(address, provider=connector.provider)
        return self.registry.create_account(connector.id, address)

    def invite(self, account: Account) -> str:
        """The token of a new connect link."""
        return self.registry.invite(account, Inviter())[0]

    def begin(self, account: Account) -> tuple[str, str]:
        """Begins a sign-in: the authorization URL and the cookie."""
        begun = self.connect.begin(self.invite(account))
        return begun["authorize_url"], begun["cookie"]

    def approve(self, url: str, mailbox: str, **answer: Any) -> dict[str, list[str]]:
        """Signs in and consents; the parameters of the callback."""
        callback = consent(url, mailbox=mailbox, cafile=self.authority.cafile, **answer)
        return parse_qs(urlsplit(callback).query)

    def sign_in(self, account: Account, mailbox: str | None = None, **answer: Any) -> Mapping[str, Any]:
        """A whole sign-in; its outcome."""
        url, cookie = self.begin(account)
        params = self.approve(url, mailbox or account.address, **answer)
        return self.connect.complete(account.connector, params, cookie)

    def connected(self, provider: Literal["microsoft", "google"] = "microsoft") -> Account:
        """A connected account."""
        account = self.account(self.connector(provider))
        assert self.sign_in(account)["outcome"] == "connected"
        return self.read(account)

    def read(self, account: Account) -> Account:
        """The account as it is now."""
        return self.registry.account(account.id)

    def refreshes(self, account: Account) -> int:
        """How many refreshes the provider was asked for in the account's name."""
        return sum(
            request.grant_type == "refresh_token" and request.user == account.address
            for request in self.control.token_requests()
        )

    def at_once(self, count: int, work: Any) -> list[Any]:
        """What `work` returned or raised in that many threads that began together."""
        barrier, found = threading.Barrier(count), []

        def run() -> None:
            barrier.wait()
            try:
                found.append(work())
            except Exception as error:  # noqa: BLE001 - the test looks at it
                found.append(error)

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Provider, ControlClient, Authority]]:
    """The sandbox's provider."""
    authority = Authority.create(tmp_path_factory.mktemp("tls"))
    certificate = authority.issue("provider")
    with Provider(certfile=certificate.certfile, keyfile=certificate.keyfile) as provider:
        control = ControlClient(provider.url, authority.cafile)
        yield provider, control, authority
        control.close()


@pytest.fixture
def world(aws: Aws, people: tuple[Provider, ControlClient, Authority]) -> Iterator[World]:
    """The services of a deployment in which nothing has happened yet."""
    provider, control, authority = people
    yield World(aws, provider, control, authority)
    control.clear_faults()
    control.set_lifetime(access=3600)
