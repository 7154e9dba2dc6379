"""What is measured: the application's own code in this process, against servers of the sandbox."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from chalicelib import clock
from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.secret import Secret
from chalicelib.settings import Settings
from chalicelib.wiring import Gateway
from sandbox.provider.scripted import consent
from sandbox.stack import PROJECT, STAGE, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector

PUBLIC_URL = "https://mail.example"


class World:
    """Provider, mail server and AWS in processes of their own, and Gateways of this one.

    Only the data stack is deployed, so that nothing but what is measured reads the tables and the queues.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.gateway = self.new_gateway()
        self.caller, self.key = self.gateway.callers.create_key("bench", {Scope.SEND}, {ALL_ACCOUNTS})
        self.gateway.callers.allow_alias("", "bench", {Scope.SEND}, {ALL_ACCOUNTS})

    def new_gateway(self) -> Gateway:
        """The application as an execution environment finds it that was just started."""
        gateway = Gateway(Settings.from_env(self.sandbox.environment))
        gateway.__dict__["public_url"] = lambda: PUBLIC_URL
        return gateway

    def connector(self) -> Connector:
        """A connector for Microsoft that the provider knows."""
        client_id, secret = f"client-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        connector = self.gateway.registry.new_connector("microsoft", "bench", client_id, "")
        redirect_uri = f"{PUBLIC_URL}/oauth/callback/{connector.id}"
        self.sandbox.provider.register_client(client_id, secret, [redirect_uri], "microsoft")
        self.gateway.secrets.save(connector.id, Secret(secret))
        return self.gateway.registry.add_connector(connector)

    def account(self, connector: Connector) -> Account:
        """A mailbox whose owner has connected it."""
        address = f"ada-{secrets.token_hex(4)}@mail.example"
        self.sandbox.provider.register_user(address, provider="microsoft")
        account = self.gateway.registry.create_account(connector.id, address)
        link = self.gateway.registry.invite(account, _Inviter())[0]
        begun = self.gateway.connect.begin(link)
        callback = consent(begun["authorize_url"], mailbox=address, cafile=self.sandbox.authority.cafile)
        self.gateway.connect.complete(connector.id, parse_qs(urlsplit(callback).query), begun["cookie"])
        return self.gateway.registry.account(account.id)

    def until(self) -> int:
        """When an invocation ends that begins now (ms)."""
        return clock.now() + 15 * clock.MINUTE


class _Inviter:
    name = "bench"


@contextmanager
def started(directory: Path) -> Iterator[World]:
    """The world, and its variables in this process's environment as long as it lasts."""
    sandbox = Sandbox(directory, say=lambda _: None)
    before = dict(os.environ)
    try:
        sandbox.start_servers()
        _make_data_stack(sandbox)
        os.environ.update(sandbox.environment)
        yield World(sandbox)
    finally:
        os.environ.clear()
        os.environ.update(before)
        sandbox.stop()


def _make_data_stack(sandbox: Sandbox) -> None:
    client = sandbox.emulator.session().client("cloudformation")
    name = f"mailgrant-{STAGE}-data"
    client.create_stack(
        StackName=name,
        TemplateBody=(PROJECT / ".chalice" / "data-stack.yaml").read_text(),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": STAGE}],
    )
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
