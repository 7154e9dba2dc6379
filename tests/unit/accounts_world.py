"""The accounts side, assembled from its real parts: a local AWS and the sandbox's provider on loopback."""

from __future__ import annotations

import io
import json
import secrets
import threading
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib import clock
from chalicelib.wiring import Gateway
from sandbox.certs import Authority
from sandbox.provider import ControlClient, Provider
from sandbox.provider.scripted import consent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.settings import Settings
    from tests.canary.watch import Watch
    from tests.unit.aws_tables import Aws

PUBLIC_URL = "https://mail.example"


@dataclass(frozen=True)
class Inviter:
    """Whoever makes connect links in tests."""

    name: str = "Tests"


class Invoke:
    """Lambda's invoke, for the two functions that others invoke: their operations run in this process."""

    def __init__(self, world: World) -> None:
        self._world = world

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """The function's answer, through JSON both ways."""
        event, noun = json.loads(Payload), FunctionName.rpartition("-")[2]
        if noun == "tokens":
            until = self._world.now() + clock.MINUTE
            answer = self._world.token_operations.run(event, until=until)
        else:
            answer = self._world.connect_operations.run(event)
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class World(Gateway):
    """The production assembly with a clock that is moved by `later`, and what a test does with it."""

    def __init__(self, aws: Aws, provider: Provider, control: ControlClient, authority: Authority) -> None:
        super().__init__(_settings(aws, provider.url, authority), clock=self.now)
        self.aws = aws
        self.control = control
        self.authority = authority
        self.later = 0
        clients = copy(aws.clients)
        clients.__dict__["lambda_"] = Invoke(self)
        self.__dict__["clients"] = clients
        self.__dict__["public_url"] = lambda: PUBLIC_URL

    def now(self) -> int:
        """The time, as far as a test has moved it."""
        return clock.now() + self.later

    def used(self, account: Account) -> None:
        """Notes that mail of the account is relayed at this moment."""
        self.clients.dynamodb.update_item(
            TableName=self.settings.table("lanes"),
            Key={"account": {"S": account.id}},
            UpdateExpression="SET served_at = :now",
            ExpressionAttributeValues={":now": {"N": str(self.now())}},
        )

    def connector(
        self, provider: Literal["microsoft", "google"], *, tenant: str = "", **client: Any
    ) -> Connector:
        """A connector that is registered at the provider."""
        client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        connector = self.registry.new_connector(provider, "", client_id, tenant)
        redirect_uri = f"{PUBLIC_URL}/oauth/callback/{connector.id}"
        self.control.register_client(client_id, secret, [redirect_uri], provider, **client)
        self.credentials.save(connector.id, secret)
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

    def at_once(self, count: int, work: Callable[[], Any]) -> list[Any]:
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


def _settings(aws: Aws, url: str, authority: Authority) -> Settings:
    google = {
        "authorize": f"{url}/o/oauth2/v2/auth",
        "token": f"{url}/token",
        "revoke": f"{url}/revoke",
        "jwks": f"{url}/oauth2/v3/certs",
        "issuer": url,
        "gmail": url,
    }
    endpoints = {"microsoft": {"login": url, "graph": url}, "google": google}
    return replace(aws.settings, provider_endpoints=endpoints, extra_ca=authority.pem)


@pytest.fixture(scope="session")
def people(
    tmp_path_factory: pytest.TempPathFactory, canaries: Watch
) -> Iterator[tuple[Provider, ControlClient, Authority]]:
    """The sandbox's provider."""
    authority = Authority.create(tmp_path_factory.mktemp("tls"))
    certificate = authority.issue("provider")
    with Provider(certfile=certificate.certfile, keyfile=certificate.keyfile) as provider:
        control = ControlClient(provider.url, authority.cafile)
        yield provider, control, authority
        canaries.learn(control)
        control.close()


@pytest.fixture
def world(aws: Aws, people: tuple[Provider, ControlClient, Authority]) -> Iterator[World]:
    """The services of a deployment in which nothing has happened yet."""
    provider, control, authority = people
    yield World(aws, provider, control, authority)
    control.clear_faults()
    control.set_lifetime(access=3600)
