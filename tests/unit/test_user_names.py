"""Rows U-B4, U-G1, U-H4, U-H5: the user name that signs in is found, and what was found lets mail go."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import Account, GrantState, Status, status
from chalicelib.ids import new_id
from chalicelib.mail.models import ClosedReason
from tests.unit.api_world import Api

if TYPE_CHECKING:
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


def person_with_address(world: World, mail: MailServerClient) -> tuple[Account, str]:
    """A new account of a mailbox whose owner signs in by a name (UPN) that is none of its addresses."""
    word = secrets.token_hex(4)
    address, upn = f"ada.love-{word}@mail.example", f"al{word}@tenant.example"
    connector = world.connector("microsoft", tenant="tenant.example")
    world.control.register_user(upn, provider="microsoft", tenant="tenant.example", email=address)
    mail.mailbox(address, full_access=[upn], send_as=[upn])
    account = Account(new_id("acc"), address, address, connector.id, world.now())
    assert world.accounts_table.add(account)
    return account, upn


def shared(world: World, mail: MailServerClient) -> tuple[Account, str]:
    """A new account of a shared mailbox, and the person who signs in to it."""
    person = f"boss-{secrets.token_hex(4)}@mail.example"
    mailbox = f"info-{person}"
    connector = world.connector("microsoft")
    world.control.register_user(person, provider="microsoft")
    mail.mailbox(mailbox, full_access=[person], send_as=[person])
    account = Account(new_id("acc"), mailbox, mailbox, connector.id, world.now(), signs_in_as=person)
    assert world.accounts_table.add(account)
    return account, person


def test_ub4_a_mailbox_is_connected_by_the_name_that_signed_in(world: World, mail: MailServerClient) -> None:
    account, upn = person_with_address(world, mail)

    assert world.sign_in(account, upn)["outcome"] == "connected"

    connected = world.read(account)
    assert connected.smtp_user == upn
    assert connected.transport_block is None
    assert connected.address == account.address


def test_ub4_verifying_finds_the_name_that_signed_in(world: World, mail: MailServerClient) -> None:
    account, upn = person_with_address(world, mail)
    mail.inject("CONNECT", "drop")
    assert world.sign_in(account, upn)["outcome"] == "connected"
    assert world.read(account).smtp_user == ""

    answer = Api(world).done("POST", f"/accounts/{account.id}/verify")

    assert answer["ok"] is True
    assert world.read(account).smtp_user == upn


def test_ub4_where_there_is_one_name_the_server_is_not_asked(world: World, mail: MailServerClient) -> None:
    world.connected("microsoft")

    assert mail.sessions() == []


def test_ug1_a_shared_mailbox_by_consent_signs_in_as_its_person(world: World, mail: MailServerClient) -> None:
    account, person = shared(world, mail)

    outcome = world.sign_in(account, person)

    assert outcome["outcome"] == "connected"
    assert (outcome["mailbox"], outcome["signs_in_as"]) == (account.address, person)
    assert world.read(account).smtp_user == person
    assert [session["user"] for session in mail.sessions()] == [person]


def test_ug1_a_shared_mailbox_that_its_server_refuses_is_not_shown_as_well(
    world: World, mail: MailServerClient
) -> None:
    account, person = shared(world, mail)
    mail.inject("AUTH", "reply", code=535, text="5.7.3 Authentication unsuccessful", times=None)

    world.sign_in(account, person)

    connected = world.read(account)
    assert status(connected, world.registry.connector(account.connector)) is Status.BLOCKED


@pytest.mark.parametrize("reason", [ClosedReason.BLOCKED, ClosedReason.MISCONFIGURED])
def test_uh5_a_verify_that_passes_lets_mail_go_at_once(
    world: World, mail: MailServerClient, reason: ClosedReason
) -> None:
    account, person = shared(world, mail)
    mail.inject("AUTH", "reply", code=535, text="5.7.3 Authentication unsuccessful", times=2)
    world.sign_in(account, person)
    world.lane.ring(account.id, expires_at=2 * world.now())
    world.lane.close(account.id, reason)

    assert Api(world).done("POST", f"/accounts/{account.id}/verify")["ok"] is True

    lane = world.lane.state(account.id)
    assert lane.closed is None
    assert lane.next_due_at is not None
    assert lane.next_due_at <= world.now()
    assert world.read(account).transport_block is None


def test_uh5_a_verify_that_passes_does_not_wake_a_paused_mailbox(
    world: World, mail: MailServerClient
) -> None:
    account, person = shared(world, mail)
    world.sign_in(account, person)
    world.lane.ring(account.id, expires_at=2 * world.now())
    Api(world).done("POST", f"/accounts/{account.id}/pause")

    assert Api(world).done("POST", f"/accounts/{account.id}/verify")["ok"] is True

    assert world.lane.state(account.id).closed is ClosedReason.PAUSED


@pytest.mark.parametrize("trouble", ["drop", "busy"])
def test_uh4_a_connection_that_failed_promises_nothing_and_is_kept_by_the_account(
    world: World, mail: MailServerClient, trouble: str
) -> None:
    connector = world.connector("microsoft")
    address = f"ada-{secrets.token_hex(4)}@mail.example"
    world.control.register_user(address, provider="microsoft", app_password="x" * 16)
    account = world.registry.create_account(connector.id, address)
    fault: dict[str, Any] = {"action": "drop"} if trouble == "drop" else {"code": 421, "text": "4.3.2 Busy"}
    mail.inject("CONNECT", **fault)

    answer = world.direct.connect(account.id, "password", password="x" * 16)

    assert (answer["ok"], answer["connected"]) == (False, False)
    assert "by itself" in answer["diagnosis"]["fix"]
    assert "nothing does that by itself" in answer["diagnosis"]["fix"]
    stored = world.read(account)
    assert stored.grant_state is GrantState.NONE
    assert stored.problem is not None
    assert stored.problem.fix == answer["diagnosis"]["fix"]
    shown = Api(world).done("GET", f"/accounts/{account.id}")
    assert shown["problem"]["code"] == answer["diagnosis"]["code"]
