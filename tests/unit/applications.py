"""Connectors whose application or service account acts by itself, and mailboxes that let it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from sandbox.credentials import ClientCertificate, ServiceAccountKey, WebIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

TENANT = "contoso.example"
WORKSPACE = "acme.example"
GMAIL = "https://mail.google.com/"
ROLE = "arn:aws:iam::000000000000:role/mailgrant-test-connect"
CLOUDS = {"gcc_high": "us", "dod": "us", "china": "cn"}
"""What the sandbox's provider calls the clouds."""


def application(
    world: World,
    kind: str = "secret",
    *,
    tenant: str = TENANT,
    cloud: str = "global",
    roles: Sequence[str] = ("SMTP.SendAsApp",),
    **facts: Any,
) -> Connector:
    """A connector of an application at Microsoft with these roles, by a credential of that kind."""
    client_id, secret = f"app-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    connector = world.registry.new_connector(
        "microsoft", "", client_id, tenant, cloud=cloud, credential=kind, **facts
    )
    certificate, identity = ClientCertificate.create(), aws_signs(world)
    world.control.register_client(
        client_id,
        secret,
        [f"{world.public_url()}/oauth/callback/{connector.id}"],
        "microsoft",
        tenant=tenant,
        cloud=CLOUDS.get(cloud, "global"),
        keys=[certificate.certificate] if kind == "certificate" else [],
        federated=[identity.trusted(ROLE)] if kind == "federated" else [],
        roles=list(roles),
    )
    given: dict[str, Any] = {
        "secret": {"secret": secret},
        "certificate": {"certificate": {"pem": certificate.pem}},
    }
    world.credentials.save(connector.id, kind=kind, **given.get(kind, {}))
    return world.registry.add_connector(connector)


def aws_signs(world: World, role: str = ROLE) -> WebIdentity:
    """From now on AWS signs tokens about that role with a new key."""
    identity = WebIdentity.create()
    world.__dict__["signing"] = lambda: identity.token(role)
    world.__dict__.setdefault("web_identity", lambda: str(world.__dict__["signing"]()))
    return identity


def service_account(world: World, domain: str = WORKSPACE, *scopes: str) -> Connector:
    """A connector of a service account at Google to which a Workspace has delegated these scopes."""
    key = ServiceAccountKey.create()
    world.control.register_service_account(key.values, key.public, {domain: list(scopes or (GMAIL,))})
    connector = world.registry.new_connector(
        "google", "", key.values["client_id"], credential="service_account"
    )
    world.credentials.save(connector.id, kind="service_account", service_account_key=key.text)
    return world.registry.add_connector(connector)


def mailbox(world: World, connector: Connector, address: str = "", **facts: Any) -> Account:
    """An account, not connected yet, of a mailbox of the tenant or Workspace."""
    domain = TENANT if connector.provider == "microsoft" else WORKSPACE
    address = address or f"info-{secrets.token_hex(4)}@{domain}"
    world.control.register_user(address, provider=connector.provider, tenant=domain, **facts)
    return world.registry.create_account(connector.id, address)


def opened(world: World, mail: MailServerClient, connector: Connector) -> Account:
    """As mailbox, and the mail server lets the application use it."""
    account = mailbox(world, connector)
    mail.mailbox(account.address, applications=[connector.client_id])
    return account
