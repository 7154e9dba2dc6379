"""Imported refresh tokens whose owner the provider does not name, and which it replaces at each use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState, Status, status
from chalicelib.errors import Diagnosed
from chalicelib.ids import new_id
from tests.unit.test_openid import SILENT, account, connected, connector, facts, refresh_token

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

__all__ = ["facts"]
REFUSED: dict[str, Any] = {"code": 535, "text": "5.7.3 Authentication unsuccessful", "times": None}


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


def exported(world: World, facts: dict[str, Any], **client: Any) -> tuple[Account, str]:
    """A new account of a mailbox, and the refresh token that another system has of it."""
    old = account(world, connector(world, facts | SILENT, **client))
    assert world.sign_in(old)["outcome"] == "connected"
    new = world.registry.create_account(old.connector, old.address, name=new_id("key"))
    return new, refresh_token(world, old)


def imported(world: World, account: Account, token: str) -> dict[str, Any]:
    """The answer of the operation."""
    return world.direct.connect(account.id, "authorization_code", refresh_token=token)


def status_of(world: World, account: Account) -> Status:
    """What the account can do now."""
    return status(world.read(account), world.registry.connector(account.connector))


def test_R3_a_token_that_the_server_takes_is_kept_and_blocks_nothing(
    world: World, mail: MailServerClient, facts: dict[str, Any]
) -> None:
    new, token = exported(world, facts)

    answer = imported(world, new, token)

    assert (answer["ok"], answer["connected"]) == (True, True)
    assert status_of(world, new) is Status.CONNECTED
    assert refresh_token(world, new) != token
    assert mail.messages() == []


@pytest.mark.parametrize(
    ("fault", "class_"),
    [
        (REFUSED, "reconnect"),
        ({"code": 454, "text": "4.7.0 Temporary authentication failure"}, "retry"),
        ({"action": "drop"}, "retry"),
    ],
)
def test_R3_a_token_that_was_replaced_is_kept_though_the_server_does_not_take_it(
    world: World, mail: MailServerClient, facts: dict[str, Any], fault: dict[str, Any], class_: str
) -> None:
    new, token = exported(world, facts, temperament="strict")
    mail.inject("AUTH", **fault)

    answer = imported(world, new, token)
    mail.reset()
    world.tokens.ensure(new.id, failed_version=1)

    assert (answer["ok"], answer["connected"]) == (False, True)
    assert answer["diagnosis"]["class"] == class_
    assert "blocked until" in answer["diagnosis"]["fix"]
    assert status_of(world, new) is Status.BLOCKED
    block = world.read(new).transport_block
    assert block is not None
    assert block.to_json() == answer["diagnosis"]


def test_R3_a_token_that_was_replaced_outlives_a_crash(
    world: World, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    new, token = exported(world, facts, temperament="strict")

    def die(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.direct, "_probes", {"smtp": die})
    with pytest.raises(KeyboardInterrupt):
        imported(world, new, token)

    block = world.read(new).transport_block
    assert block is not None
    assert block.code == "mailbox_unproven"
    world.tokens.ensure(new.id, failed_version=1)


def test_a_token_that_was_not_replaced_is_not_kept_where_the_server_does_not_take_it(
    world: World, mail: MailServerClient, facts: dict[str, Any]
) -> None:
    new, token = exported(world, facts, temperament="google")
    mail.inject("AUTH", **REFUSED)

    answer = imported(world, new, token)
    mail.reset()

    assert (answer["ok"], answer["connected"]) == (False, False)
    assert "no more use" not in answer["diagnosis"]["fix"]
    assert status_of(world, new) is Status.DISCONNECTED
    assert imported(world, new, token)["ok"] is True


def test_R4_a_good_grant_stays_and_the_answer_says_that_the_token_may_be_used_up(
    world: World, mail: MailServerClient, facts: dict[str, Any]
) -> None:
    new, token = exported(world, facts, temperament="strict")
    assert world.sign_in(new)["outcome"] == "connected"
    own = refresh_token(world, new)
    mail.inject("AUTH", **REFUSED)

    answer = imported(world, new, token)

    assert (answer["ok"], answer["connected"]) == (False, False)
    assert "no more use" in answer["diagnosis"]["fix"]
    assert "connect link" in answer["diagnosis"]["fix"]
    assert status_of(world, new) is Status.CONNECTED
    assert refresh_token(world, new) == own


def test_R3_a_grant_that_has_ended_makes_place(
    world: World, mail: MailServerClient, facts: dict[str, Any]
) -> None:
    new, _ = exported(world, facts, temperament="strict")
    assert world.sign_in(new)["outcome"] == "connected"
    world.control.revoke(new.address)
    for _ in range(2):
        with pytest.raises(Diagnosed):
            world.tokens.ensure(new.id, failed_version=1)
        world.later += 3_600_000
    assert world.read(new).grant_state is GrantState.NEEDS_RECONNECT
    token = exported_again(world, new)
    mail.inject("AUTH", **REFUSED)

    answer = imported(world, new, token)

    assert answer["connected"] is True
    assert status_of(world, new) is Status.BLOCKED


def exported_again(world: World, account: Account) -> str:
    """Another refresh token of the same mailbox."""
    other = world.registry.create_account(account.connector, account.address, name=new_id("key"))
    assert world.sign_in(other)["outcome"] == "connected"
    return refresh_token(world, other)


def test_R3_what_is_rolled_back_to_is_kept_though_the_server_does_not_take_it(
    world: World, mail: MailServerClient, facts: dict[str, Any]
) -> None:
    made = connected(world, facts | SILENT)
    before = refresh_token(world, made)
    world.control.register_user(made.address, provider="openid", app_password="x-password")
    assert world.direct.connect(made.id, "password", password="x-password")["ok"] is True
    mail.inject("AUTH", **REFUSED)

    answer = world.direct.roll_back(made.id, chooses_mailbox=True)

    assert (answer["ok"], answer["connected"]) == (False, True)
    assert refresh_token(world, made) != before
    world.tokens.ensure(made.id, failed_version=3)


def test_the_token_of_another_mailbox_that_was_replaced_may_be_used_up(
    world: World, facts: dict[str, Any]
) -> None:
    other = connected(world, facts)
    new = account(world, world.registry.connector(other.connector))

    answer = imported(world, new, refresh_token(world, other))

    assert answer["diagnosis"]["code"] == "wrong_mailbox"
    assert "no more use" in answer["diagnosis"]["fix"]
    assert status_of(world, new) is Status.DISCONNECTED
