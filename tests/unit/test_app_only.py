"""Accounts that nobody consents to: the application or a service account acts as the mailbox, end to end."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import AuthMode, GrantState, Status, status
from chalicelib.accounts.models.grant import GRAPH
from chalicelib.clock import MINUTE, SECOND
from chalicelib.errors import Diagnosed, InvalidInput
from chalicelib.transports.smtp.probe import probe
from tests.unit.applications import (
    GMAIL,
    TENANT,
    WORKSPACE,
    application,
    mailbox,
    opened,
    service_account,
)

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

KINDS = ["secret", "certificate", "federated"]


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


def connect(world: World, account: Account, mode: str) -> dict[str, Any]:
    """The answer of the operation."""
    return world.direct.connect(account.id, mode)


def grants_asked_for(world: World, account: Account) -> list[str]:
    """The grant types of the token requests in the name of the account's client."""
    client = world.registry.connector(account.connector).client_id
    return [one.grant_type for one in world.control.token_requests() if one.client_id == client]


@pytest.mark.parametrize("kind", KINDS)
def test_O19_an_application_connects_refreshes_and_signs_in_by(
    world: World, mail: MailServerClient, kind: str
) -> None:
    account = opened(world, mail, application(world, kind))

    answer = connect(world, account, "client_credentials")
    world.tokens.ensure(account.id, failed_version=1)
    token = world.access_tokens.fresh(account.id)

    assert (answer["ok"], answer["connected"]) == (True, True)
    connected = world.read(account)
    connector = world.registry.connector(account.connector)
    assert connected.auth_mode is AuthMode.CLIENT_CREDENTIALS
    assert status(connected, connector) is Status.CONNECTED
    assert token.version == 2
    steps, stopped = probe(
        lambda heard: world._open_session(connected, connector, heard=heard), token.value, seconds=20
    )
    assert stopped is None, steps
    assert mail.messages() == []


def test_an_application_that_the_mailbox_does_not_let_in_is_not_saved(
    world: World, mail: MailServerClient
) -> None:
    account = mailbox(world, application(world))

    answer = connect(world, account, "client_credentials")

    assert (answer["ok"], answer["connected"]) == (False, False)
    assert answer["steps"][-1]["step"] == "auth"
    assert answer["diagnosis"]["code"] == "smtp_535_5.7.3"
    assert world.read(account).grant_state is GrantState.NONE
    assert mail.messages() == []


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
def test_an_application_without_a_tenant_is_refused_at_once_with_the_fix(world: World, tenant: str) -> None:
    connector = world.connector("microsoft", tenant=tenant)
    account = world.account(connector)
    before = len(world.control.token_requests())

    with pytest.raises(InvalidInput) as refused:
        connect(world, account, "client_credentials")
    with pytest.raises(InvalidInput) as at_once:
        world.registry.new_connector(
            "microsoft", "", "client", tenant, facts={"auth_modes": ["client_credentials"]}
        )

    assert refused.value.field == at_once.value.field == "tenant"
    assert tenant in refused.value.message
    assert "Tenant ID" in refused.value.fix
    assert len(world.control.token_requests()) == before


@pytest.mark.parametrize(("mode", "kind"), [("client_credentials", "none"), ("authorization_code", "none")])
def test_without_a_client_there_are_only_passwords(world: World, mode: str, kind: str) -> None:
    connector = world.registry.new_connector("microsoft", "", "", TENANT, credential=kind)
    account = mailbox(world, world.registry.add_connector(connector))

    with pytest.raises(InvalidInput) as refused:
        world.direct.connect(account.id, mode, refresh_token="x")

    assert refused.value.field == "auth_mode"


def test_nobody_signs_in_for_a_service_account(world: World) -> None:
    account = mailbox(world, service_account(world))

    with pytest.raises(InvalidInput):
        world.begin(account)


def test_an_application_that_is_refused_concerns_its_connector(world: World, mail: MailServerClient) -> None:
    account = opened(world, mail, application(world))
    connect(world, account, "client_credentials")
    connector = world.registry.connector(account.connector)
    world.control.inject("token", error="AADSTS7000222", client_id=connector.client_id, times=2)

    with pytest.raises(Diagnosed):
        world.tokens.ensure(account.id, failed_version=1)
    world.later += MINUTE + SECOND
    with pytest.raises(Diagnosed):
        world.tokens.ensure(account.id, failed_version=1)

    broken = world.registry.connector(connector.id)
    assert broken.problem is not None
    assert status(world.read(account), broken) is Status.MISCONFIGURED
    assert world.access_tokens.fresh(account.id).version == 1  # it lives on


def test_an_application_in_use_is_refreshed_before_its_token_ends(
    world: World, mail: MailServerClient
) -> None:
    account = opened(world, mail, application(world, "certificate"))
    connect(world, account, "client_credentials")
    world.tokens.ensure(account.id, failed_version=1)
    world.later = 56 * MINUTE
    world.used(account)

    world.tokens.refresh_due(until=world.now() + MINUTE)

    token = world.access_tokens_table.get(account.id)
    assert token is not None
    assert token.version == 3
    assert set(grants_asked_for(world, account)) == {"client_credentials"}


def test_an_application_asks_each_resource_for_its_own_token(world: World, mail: MailServerClient) -> None:
    account = opened(world, mail, application(world))
    connect(world, account, "client_credentials")

    token = world.access_tokens.fresh(account.id, resource=GRAPH)

    seen = world.control.introspect(token.value.reveal())
    assert seen["aud"] == "https://graph.microsoft.com"
    assert world.access_tokens.fresh(account.id).version == 1


def test_a_service_account_connects_refreshes_and_signs_in_as_each_mailbox(
    world: World, mail: MailServerClient
) -> None:
    connector = service_account(world)
    accounts = [mailbox(world, connector) for _ in range(2)]

    answers = [connect(world, account, "service_account") for account in accounts]
    world.tokens.ensure(accounts[0].id, failed_version=1)

    assert [answer["ok"] for answer in answers] == [True, True]
    assert mail.messages() == []
    seen = [
        world.control.introspect(world.access_tokens.fresh(account.id).value.reveal()) for account in accounts
    ]
    assert [one["user"] for one in seen] == [account.address for account in accounts]
    assert world.access_tokens.fresh(accounts[0].id).version == 2


def test_O11_a_service_account_acts_as_the_person_whose_alias_the_mailbox_is(world: World) -> None:
    connector = service_account(world)
    person = mailbox(world, connector)
    account = world.registry.create_account(connector.id, f"alias-{secrets.token_hex(4)}@{WORKSPACE}")
    acting = replace(account, signs_in_as=person.address)

    key = world.secrets.get(connector.id)
    token = world.providers.of(connector).obtain(connector, key, acting)

    assert world.control.introspect(token.access_token.reveal())["user"] == person.address


def refused_delegation(world: World, account: Account) -> dict[str, Any]:
    """The diagnosis that connecting a service account's mailbox ends with."""
    answer = connect(world, account, "service_account")
    assert (answer["ok"], answer["steps"]) == (False, [])
    assert answer["diagnosis"]["class"] == "admin"
    assert world.registry.connector(account.connector).problem is None
    diagnosis: dict[str, Any] = answer["diagnosis"]
    return diagnosis


def test_a_workspace_that_has_not_delegated_is_told_what_to_authorise(world: World) -> None:
    connector = service_account(world, "another.example")

    diagnosis = refused_delegation(world, mailbox(world, connector))

    assert diagnosis["code"] == "unauthorized_client"
    assert connector.client_id in diagnosis["fix"]
    assert GMAIL in diagnosis["fix"]


def test_a_delegation_of_another_scope_is_none(world: World) -> None:
    connector = service_account(world, WORKSPACE, "https://www.googleapis.com/auth/gmail.send")

    assert refused_delegation(world, mailbox(world, connector))["code"] == "unauthorized_client"


def test_a_mailbox_that_the_workspace_does_not_have_is_told(world: World) -> None:
    account = world.registry.create_account(
        service_account(world).id, f"nobody-{secrets.token_hex(4)}@{WORKSPACE}"
    )

    diagnosis = refused_delegation(world, account)

    assert diagnosis["code"] == "invalid_grant"
    assert "signs_in_as" in diagnosis["fix"]
