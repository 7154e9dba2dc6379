"""Verifying an account: what its mail server says to a sign-in, and that nothing is sent."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from chalicelib.accounts import verifying
from chalicelib.errors import NotFound
from chalicelib.ids import new_id
from sandbox.mailserver.client import MailServerClient
from tests.unit.accounts_world import World
from tests.unit.api_world import Api

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]
ALL = ["token", "connect", "ehlo", "starttls", "ehlo again", "auth", "quit"]


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


def verify(world: World, account: str) -> dict[str, Any]:
    """The answer of the API."""
    return Api(world).done("POST", f"/accounts/{account}/verify")


def steps(answer: dict[str, Any]) -> dict[str, bool]:
    """Whether each step went well, in their order."""
    return {step["step"]: step["ok"] for step in answer["steps"]}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mailbox_that_works_shows_each_step_and_nothing_is_sent(
    world: World, mail: MailServerClient, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)

    answer = verify(world, account.id)

    assert answer["ok"] is True
    assert steps(answer) == dict.fromkeys(ALL, True)
    assert [step["said"][:3] for step in answer["steps"][1:]] == ["220", "250", "220", "250", "235", "221"]
    assert all(step["ms"] >= 0 for step in answer["steps"])
    assert "diagnosis" not in answer
    assert mail.messages() == []
    assert [session["user"] for session in mail.sessions()] == [account.address]
    assert world.access_tokens.fresh(account.id).value.reveal() not in str(answer)


def test_a_token_that_the_server_refuses_is_refreshed_once(world: World, mail: MailServerClient) -> None:
    account = world.connected("microsoft")
    world.control.revoke(account.address, what="access")

    answer = verify(world, account.id)

    assert answer["ok"] is True
    assert [step["said"] for step in answer["steps"] if step["step"] == "token"] == [
        "a usable one",
        "a fresh one",
    ]
    assert [step["ok"] for step in answer["steps"] if step["step"] == "auth"] == [False, True]
    assert world.refreshes(account) == 1


def test_a_mailbox_whose_server_refuses_every_token_is_told(world: World, mail: MailServerClient) -> None:
    account = world.connected("microsoft")
    mail.inject("AUTH", "reply", code=535, text="5.7.3 Authentication unsuccessful", times=None)

    answer = verify(world, account.id)

    assert answer["ok"] is False
    assert answer["diagnosis"]["code"] == "smtp_535_5.7.3"
    assert world.refreshes(account) == 1
    assert world.read(account).transport_block is None  # that fact is the relay's


def test_smtp_that_is_switched_off_comes_with_its_fix(world: World, mail: MailServerClient) -> None:
    account = world.connected("microsoft")
    text = "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."
    mail.inject("AUTH", "reply", code=535, text=text)

    answer = verify(world, account.id)

    assert "Set-CASMailbox" in answer["diagnosis"]["fix"]
    assert answer["steps"][-1]["said"].startswith("535 5.7.139")
    assert world.refreshes(account) == 0


@pytest.mark.parametrize(
    ("command", "action", "last", "code"),
    [
        ("CONNECT", "drop", "connect", "connection_lost"),
        ("STARTTLS", "drop", "starttls", "connection_lost"),
        ("TLS", "drop", "starttls", "tls_failed"),
        ("AUTH", "drop", "auth", "connection_lost"),
    ],
)
def test_a_connection_that_breaks_shows_how_far_it_came(
    world: World, mail: MailServerClient, command: str, action: str, last: str, code: str
) -> None:
    account = world.connected("microsoft")
    mail.inject(command, action)

    answer = verify(world, account.id)

    assert (answer["steps"][-1]["step"], answer["steps"][-1]["ok"]) == (last, False)
    assert all(step["ok"] for step in answer["steps"][:-1])
    assert answer["diagnosis"]["code"] in {code, "connection_lost"}


def test_a_server_without_starttls_gets_no_token(world: World, mail: MailServerClient) -> None:
    account = world.connected("microsoft")
    mail.settings(starttls=False)

    answer = verify(world, account.id)

    assert answer["diagnosis"]["code"] == "starttls_missing"
    assert steps(answer) == {
        "token": True,
        "connect": True,
        "ehlo": True,
        "starttls": False,
    }


def test_a_server_that_says_nothing_is_not_waited_for(
    world: World, mail: MailServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("microsoft")
    mail.inject("EHLO", "silence")
    monkeypatch.setattr(verifying, "TOTAL", 0.5)

    answer = verify(world, account.id)

    assert answer["diagnosis"]["code"] == "smtp_timeout"
    assert sum(step["ms"] for step in answer["steps"]) < 5_000


def test_an_account_without_a_usable_consent_ends_at_its_token(world: World, mail: MailServerClient) -> None:
    never = world.account(world.connector("google"))
    revoked = world.connected("google")
    world.control.revoke(revoked.address)
    world.later = 3_600_000

    answers = [verify(world, account.id) for account in (never, revoked)]

    assert [steps(answer) for answer in answers] == [{"token": False}] * 2
    assert [answer["diagnosis"]["code"] for answer in answers] == ["never_connected", "invalid_grant"]
    assert mail.sessions() == []


def test_an_account_that_does_not_exist_is_not_verified(world: World) -> None:
    with pytest.raises(NotFound):
        world.functions.connect("verify", {"account_id": new_id("acc")})
