"""Verifying an account: what its servers say to a sign-in, and that nothing is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from chalicelib.accounts import trying
from chalicelib.accounts.doctor import verifying
from chalicelib.accounts.models.account import Account, AuthMode
from chalicelib.errors import InvalidInput, NotFound
from chalicelib.ids import new_id
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT, OTHER, YANDEX
from chalicelib.providers.facts import merged
from sandbox.dovecot import Dovecot
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


def test_O11_a_shared_mailbox_is_opened_by_the_person_who_signs_in(
    world: World, mail: MailServerClient
) -> None:
    account = shared(world, mail)

    answer = verify(world, account.id)

    assert answer["ok"] is True
    assert world.read(account).smtp_user == account.signs_in_as
    assert {session["user"] for session in mail.sessions()} == {account.signs_in_as}


def test_O11_a_shared_mailbox_is_opened_by_its_own_name_where_that_works_and_the_name_is_kept(
    world: World, mail: MailServerClient
) -> None:
    account = shared(world, mail)
    mail.settings("microsoft", smtp_user="mailbox")
    mail.mailbox(account.signs_in_as, smtp_auth=False)

    answer = verify(world, account.id)
    again = verify(world, account.id)

    assert [step["ok"] for step in answer["steps"] if step["step"] == "auth"] == [False, True], answer
    assert answer["ok"] is True
    assert world.read(account).smtp_user == account.address
    assert world.refreshes(account) == 0
    assert [step["ok"] for step in again["steps"] if step["step"] == "auth"] == [True]


def test_no_name_is_kept_where_none_works(world: World, mail: MailServerClient) -> None:
    account = shared(world, mail)
    mail.inject("AUTH", "reply", code=535, text="5.7.3 Authentication unsuccessful", times=None)

    answer = verify(world, account.id)

    assert answer["diagnosis"]["code"] == "smtp_535_5.7.3"
    assert len([step for step in answer["steps"] if step["step"] == "auth"]) == 4  # two names, two tokens
    assert world.read(account).smtp_user == account.signs_in_as  # found when it was connected


def test_a_server_that_is_busy_is_not_tried_by_another_name(world: World, mail: MailServerClient) -> None:
    account = shared(world, mail)
    mail.inject("AUTH", "reply", code=454, text="4.7.0 Too many login attempts")

    answer = verify(world, account.id)

    assert answer["diagnosis"]["class"] == "pause"
    assert len([step for step in answer["steps"] if step["step"] == "auth"]) == 1


def shared(world: World, mail: MailServerClient) -> Account:
    """A connected account of a shared mailbox, into which a person signs in."""
    person = f"{new_id('key')}@mail.example".lower()
    mailbox = f"info-{person}"
    connector = world.connector("microsoft")
    world.control.register_user(person, provider="microsoft")
    mail.mailbox(mailbox, full_access=[person], send_as=[person])
    account = Account(new_id("acc"), mailbox, mailbox, connector.id, world.now(), signs_in_as=person)
    assert world.accounts_table.add(account)
    assert world.sign_in(account, person)["outcome"] == "connected"
    return world.read(account)


@pytest.fixture
def reading(world: World, dovecot: Dovecot) -> World:
    """The services of a deployment whose Google has a server of IMAP and POP3, too."""
    known = world.settings.provider_endpoints
    hosts = {
        "imap_host": "127.0.0.1",
        "imap_port": dovecot.ports["imaps"],
        "pop_host": "127.0.0.1",
        "pop_port": dovecot.ports["pop3s"],
    }
    world.settings = replace(
        world.settings, provider_endpoints={**known, "google": {**known["google"], **hosts}}
    )
    return world


@pytest.mark.parametrize(("protocol", "last"), [("imap", "logout"), ("pop", "quit")])
def test_a_mailbox_is_signed_in_to_where_it_is_read(
    reading: World, mail: MailServerClient, protocol: str, last: str
) -> None:
    account = reading.connected("google")

    answer = reading.functions.connect("verify", {"account_id": account.id, "protocol": protocol})

    assert answer["ok"] is True
    assert answer["protocol"] == protocol
    assert steps(answer) == dict.fromkeys(["token", "connect", "capabilities", "auth", last], True)
    assert mail.sessions() == []
    assert reading.access_tokens.fresh(account.id).value.reveal() not in str(answer)


@pytest.mark.parametrize("protocol", ["imap", "pop"])
def test_a_server_of_mail_that_refuses_a_token_gets_one_fresh_one(reading: World, protocol: str) -> None:
    account = reading.connected("google")
    reading.control.revoke(account.address, what="access")

    answer = reading.functions.connect("verify", {"account_id": account.id, "protocol": protocol})

    assert answer["ok"] is True
    assert [step["ok"] for step in answer["steps"] if step["step"] == "auth"] == [False, True]
    assert reading.refreshes(account) == 1


@pytest.mark.parametrize("protocol", ["imap", "pop"])
@pytest.mark.parametrize("right", [True, False])
def test_a_password_is_tried_where_mail_is_read(
    reading: World, mail: MailServerClient, protocol: str, *, right: bool
) -> None:
    account = reading.account(reading.connector("google"))
    password = new_id("key")
    reading.control.register_user(account.address, provider="google", app_password=password)
    connected = reading.direct.connect(account.id, "password", password=password)
    assert connected["ok"] is True, connected
    if not right:
        reading.control.register_user(account.address, provider="google", app_password="another one")

    answer = reading.functions.connect("verify", {"account_id": account.id, "protocol": protocol})

    assert answer["ok"] is right
    assert password not in str(answer)
    if not right:
        assert answer["diagnosis"]["code"] == "password_refused"


def test_a_protocol_that_the_provider_does_not_have_is_refused(world: World) -> None:
    account = world.connected("microsoft")

    for protocol in ("gmail", "nntp"):
        with pytest.raises(InvalidInput) as refused:
            world.functions.connect("verify", {"account_id": account.id, "protocol": protocol})
        assert refused.value.field == "protocol"


@pytest.mark.parametrize(
    ("facts", "required", "protocol"),
    [
        (MICROSOFT, (MICROSOFT.protocol_scopes["smtp"],), "smtp"),
        (MICROSOFT, (MICROSOFT.protocol_scopes["graph"],), "graph"),
        (MICROSOFT, tuple(MICROSOFT.protocol_scopes.values()), "smtp"),
        (MICROSOFT, (MICROSOFT.protocol_scopes["imap"],), "imap"),
        (GOOGLE, GOOGLE.required_scopes, "smtp"),
        (GOOGLE, (GOOGLE.protocol_scopes["gmail"],), "gmail"),
        (YANDEX, YANDEX.required_scopes, "smtp"),
        (OTHER, (), "smtp"),
    ],
)
def test_without_a_word_the_protocol_is_the_one_that_is_used(
    facts: Any, required: tuple[str, ...], protocol: str
) -> None:
    mode = AuthMode.AUTHORIZATION_CODE

    assert trying.usual_protocol(replace(facts, required_scopes=required), mode) == protocol


@pytest.mark.parametrize("day", ["2027-02-30", "20270131", "soon", 20270131])
def test_the_end_of_a_secret_is_a_day(day: object) -> None:
    assert merged(MICROSOFT, {"secret_expires_at": "2027-01-31"}).secret_expires_at == "2027-01-31"
    with pytest.raises(ValueError, match="secret_expires_at"):
        merged(MICROSOFT, {"secret_expires_at": day})
