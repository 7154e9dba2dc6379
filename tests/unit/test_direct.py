"""Connecting an account without a browser: nothing is saved unless the mail server has let us in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.errors import InvalidInput, MalformedRequest, NotFound
from chalicelib.ids import new_id

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


def refresh_token_of(world: World, account: Account) -> str:
    """The refresh token that another system would have of a mailbox."""
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return world.keeper.reveal(grant).reveal()


def exported(world: World) -> tuple[Account, str]:
    """A new account of a mailbox, and the refresh token that another system has of it."""
    old = world.connected("microsoft")
    token = refresh_token_of(world, old)
    return world.registry.create_account(old.connector, old.address, name=new_id("key")), token


def connect(world: World, account: Account, mode: str, **held: str) -> dict[str, Any]:
    """The answer of the operation."""
    return world.direct.connect(account.id, mode, **held)


def test_an_imported_token_connects_the_account_and_is_replaced_by_its_successor(
    world: World, mail: MailServerClient
) -> None:
    account, token = exported(world)

    answer = connect(world, account, "authorization_code", refresh_token=token)

    assert answer["ok"] is True
    assert [step["step"] for step in answer["steps"]][-2:] == ["auth", "quit"]
    assert mail.messages() == []
    stored = world.read(account)
    assert stored.grant_state is GrantState.ACTIVE
    assert refresh_token_of(world, stored) != token
    assert world.access_tokens.fresh(account.id, failed_version=1).version == 2


def test_a_token_that_the_provider_refuses_is_not_saved(world: World, mail: MailServerClient) -> None:
    account, _ = exported(world)

    answer = connect(world, account, "authorization_code", refresh_token="of-somewhere-else")

    assert answer["ok"] is False
    assert answer["diagnosis"]["class"] == "reconnect"
    assert world.read(account).grant_state is GrantState.NONE
    assert mail.sessions() == []


def test_a_token_of_another_mailbox_is_not_saved(world: World, mail: MailServerClient) -> None:
    other = world.connected("microsoft")
    account = world.account(world.registry.connector(other.connector))

    answer = connect(world, account, "authorization_code", refresh_token=refresh_token_of(world, other))

    assert answer["diagnosis"]["code"] == "wrong_mailbox"
    assert answer["diagnosis"]["text"] == other.address
    assert world.read(account).grant_state is GrantState.NONE
    assert mail.sessions() == []


def test_a_token_that_the_provider_replaced_is_kept_though_the_server_refuses(
    world: World, mail: MailServerClient
) -> None:
    account, token = exported(world)
    mail.inject("AUTH", code=535, text="5.7.139 SmtpClientAuthentication is disabled for the Mailbox.")

    answer = connect(world, account, "authorization_code", refresh_token=token)

    assert (answer["ok"], answer["connected"]) == (False, True)
    assert answer["steps"][-1]["step"] == "auth"
    assert answer["diagnosis"]["class"] == "admin"
    assert refresh_token_of(world, account) != token


@pytest.mark.parametrize(
    ("mode", "held", "field"),
    [
        ("authorization_code", {}, "refresh_token"),
        ("password", {}, "password"),
        ("password", {"password": "x" * 8193}, "password"),
    ],
)
def test_what_the_mode_needs_must_be_there(world: World, mode: str, held: dict[str, str], field: str) -> None:
    account, _ = exported(world)

    with pytest.raises(MalformedRequest) as refused:
        connect(world, account, mode, **held)

    assert refused.value.field == field


@pytest.mark.parametrize("mode", ["service_account", "magic"])
def test_a_mode_that_the_provider_does_not_have_is_refused(world: World, mode: str) -> None:
    account, _ = exported(world)

    with pytest.raises(InvalidInput) as refused:
        connect(world, account, mode)

    assert refused.value.field == "auth_mode"


def test_an_unknown_account_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        world.direct.connect(new_id("acc"), "password", password="x")


def test_a_password_that_the_server_refuses_is_called_that(world: World, mail: MailServerClient) -> None:
    account, _ = exported(world)

    answer = connect(world, account, "password", password="not it")

    assert answer["diagnosis"]["code"] == "password_refused"
    assert answer["diagnosis"]["text"].startswith("5.7.3")
    assert world.read(account).grant_state is GrantState.NONE
    assert mail.messages() == []
