"""Connecting directly finds where an account is signed in to, and by which name, as verifying it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.ids import new_id
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT
from tests.unit.applications import TENANT, application, mailbox, opened, service_account
from tests.unit.test_mail_apis import connector

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

SMTP, MAIL_SEND = (MICROSOFT.protocol_scopes[name] for name in ("smtp", "graph"))
NOT_IT = "somebody-else@mail.example"
APP_PASSWORD = "x" * 16


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


def refresh_token(world: World, account: Account) -> str:
    """The stored one."""
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return world.keeper.reveal(grant).reveal()


def shared(world: World, mail: MailServerClient) -> tuple[Account, str]:
    """A new account of a shared mailbox, and the refresh token that another system has of its person."""
    person = world.connected("microsoft")
    address = f"info-{person.address}"
    mail.mailbox(address, full_access=[person.address], send_as=[person.address])
    made = world.registry.create_account(person.connector, address, signs_in_as=person.address)
    return made, refresh_token(world, person)


def auths(answer: dict[str, Any]) -> list[bool]:
    """Whether each sign-in went well."""
    return [step["ok"] for step in answer["steps"] if step["step"] == "auth"]


def test_O11_an_imported_token_signs_in_to_a_shared_mailbox_as_its_person(
    world: World, mail: MailServerClient
) -> None:
    account, token = shared(world, mail)

    answer = world.direct.connect(account.id, "authorization_code", refresh_token=token)

    assert (answer["ok"], auths(answer)) == (True, [True])
    assert world.read(account).smtp_user == account.signs_in_as


def test_O11_where_the_person_is_not_let_in_the_mailboxs_own_name_is_kept(
    world: World, mail: MailServerClient
) -> None:
    account, token = shared(world, mail)
    mail.settings("microsoft", smtp_user="mailbox")
    mail.mailbox(account.signs_in_as, smtp_auth=False)

    answer = world.direct.connect(account.id, "authorization_code", refresh_token=token)

    assert (answer["ok"], auths(answer)) == (True, [False, True])
    assert world.read(account).smtp_user == account.address


def test_a_server_that_is_down_leaves_the_name_that_is_usual(world: World, mail: MailServerClient) -> None:
    account, token = shared(world, mail)
    mail.inject("CONNECT", "drop")

    answer = world.direct.connect(account.id, "authorization_code", refresh_token=token)

    assert (answer["ok"], answer["connected"]) == (False, True)
    assert world.read(account).smtp_user == account.signs_in_as


@pytest.mark.parametrize("mode", ["client_credentials", "service_account", "password"])
def test_a_user_name_that_does_not_work_is_mended_in_the_one_transaction(
    world: World, mail: MailServerClient, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    account, held = of_mode(world, mail, mode)
    monkeypatch.delattr(type(world.accounts_table), "found_user")  # the write that verifying needs besides

    answer = world.direct.connect(account.id, mode, **held)

    assert (answer["ok"], auths(answer)) == (True, [False, True])
    assert world.read(account).smtp_user == account.address


def of_mode(world: World, mail: MailServerClient, mode: str) -> tuple[Account, dict[str, str]]:
    """An account of that auth mode with a wrong user name, and what it is connected with."""
    if mode == "password":
        made, address = world.connector("google"), f"{new_id('key')}@mail.example".lower()
        world.control.register_user(address, provider="google", app_password=APP_PASSWORD)
    else:
        made = application(world) if mode == "client_credentials" else service_account(world)
        address = mailbox(world, made).address
        mail.mailbox(address, applications=[made.client_id])
    wanted = world.registry.new_account(made.id, address, new_id("key"), AuthMode(mode), smtp_user=NOT_IT)
    return world.registry.add_account(wanted), {"password": APP_PASSWORD} if mode == "password" else {}


def without_smtp(world: World, provider: Any, scope: str) -> tuple[Account, str]:
    """A new account of a connector that may send by the mail API only, and a refresh token of its mailbox."""
    made = connector(world, provider, scope)
    old = world.account(made)
    assert world.sign_in(old)["outcome"] == "connected"
    return world.registry.create_account(made.id, old.address, name=new_id("key")), refresh_token(world, old)


@pytest.mark.parametrize(
    ("provider", "scope", "resource"),
    [("microsoft", MAIL_SEND, GRAPH), ("google", GOOGLE.protocol_scopes["gmail"], MAIL)],
)
def test_a_connector_without_a_scope_of_smtp_is_tried_at_the_mail_api(
    world: World, mail: MailServerClient, provider: Any, scope: str, resource: str
) -> None:
    account, token = without_smtp(world, provider, scope)
    assert world.sign_in(account)["outcome"] == "connected"
    before = world.refreshes(account)

    answer = world.direct.connect(account.id, "authorization_code", refresh_token=token)
    world.access_tokens.fresh(account.id, resource=resource)

    assert answer["ok"] is True, answer
    assert [step["step"] for step in answer["steps"]][:2] == ["connect", "auth"]
    assert world.refreshes(account) == before + 1
    shown = world.read(account).token_expires_at  # of the token for mail, which there may be none of now
    assert (shown is None) is (resource == GRAPH)
    assert mail.sessions() == []
    assert token not in str(answer)


def test_an_application_without_smtp_is_tried_at_graph(world: World, mail: MailServerClient) -> None:
    account = mailbox(world, application(world, roles=["Mail.Send"], scopes=[MAIL_SEND]))

    answer = world.direct.connect(account.id, "client_credentials")

    assert answer["ok"] is True, answer
    assert [step["step"] for step in answer["steps"]] == ["connect", "auth", "permission"]
    assert world.read(account).token_expires_at is None  # which is that of the token for SMTP
    assert world.access_tokens.fresh(account.id, resource=GRAPH).version == 1
    assert mail.sessions() == []


def test_an_application_that_may_not_send_at_graph_is_not_saved(world: World) -> None:
    account = mailbox(world, application(world, roles=["Mail.Read"], scopes=[MAIL_SEND]))

    answer = world.direct.connect(account.id, "client_credentials")

    assert (answer["connected"], answer["diagnosis"]["code"]) == (False, "graph_no_mail_send")
    assert world.grants_table.get(account.id) is None


def test_a_password_is_never_shown_to_a_mail_api(world: World, mail: MailServerClient) -> None:
    made = connector(world, "microsoft", MAIL_SEND)
    account = world.account(made)

    answer = world.direct.connect(account.id, "password", password=APP_PASSWORD)

    assert answer["diagnosis"]["code"] == "password_refused"
    assert len(mail.sessions()) == 1


def test_an_application_with_smtp_is_tried_there_though_it_may_use_graph(
    world: World, mail: MailServerClient
) -> None:
    made = application(world, roles=["SMTP.SendAsApp", "Mail.Send"], scopes=[SMTP, MAIL_SEND])
    account = opened(world, mail, made)

    assert world.direct.connect(account.id, "client_credentials")["ok"] is True
    assert account.address.endswith(TENANT)
    assert len(mail.sessions()) == 1
