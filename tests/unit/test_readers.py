"""Accounts that read with another one: how that is set, what verifying does, and what the doctor says."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.doctor.readers import GONE, Reader, reads_with
from chalicelib.accounts.models.account import Account, AuthMode, GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.callers.models import Scope
from chalicelib.clock import HOUR
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import InvalidInput
from chalicelib.ids import new_id
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT, OTHER
from tests.unit.api_world import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.providers.facts import ProviderFacts
    from sandbox.dovecot import Dovecot
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

pytestmark = pytest.mark.aws

IMAP = MICROSOFT.protocol_scopes["imap"]


@pytest.fixture
def world(mailing: World) -> World:
    """The services of a deployment whose providers have a mail server."""
    return mailing


@pytest.fixture
def api(world: World) -> Api:
    """The API, asked by an administrator."""
    return Api(world)


def reading_with(world: World, reader: Account, address: str = "") -> Account:
    """An account of another connector, mostly of the same mailbox, that reads with the one that is given."""
    connector = world.connector("microsoft")
    address = address or reader.address
    world.control.register_user(address, provider="microsoft")
    name = f"sending-{secrets.token_hex(4)}"
    return world.registry.create_account(connector.id, address, name, reads_with=reader)


# How it is set


def test_an_account_is_made_that_reads_with_another_by_name_or_id(world: World, api: Api) -> None:
    reader = world.account(world.connector("google"))
    asked = {"connector": world.connector("microsoft").id, "address": reader.address}

    made = [
        api.done("POST", "/accounts", {**asked, "name": f"{named}-sends", "reads_with": named})
        for named in (reader.id, reader.name.upper())
    ]

    assert [one["reads_with"] for one in made] == [reader.id] * 2
    assert world.registry.account(made[0]["id"]).reads_with == reader.id


@pytest.mark.parametrize("nothing", ["", None])
def test_it_is_set_later_and_taken_away(world: World, api: Api, nothing: str | None) -> None:
    connector = world.connector("google")
    account, reader = world.account(connector), world.account(connector)
    path = f"/accounts/{account.id}"

    before = api.done("GET", path)
    set_, again = (api.done("PATCH", path, {"reads_with": reader.name}) for _ in range(2))
    kept = api.done("PATCH", path, {"display_name": "Sales"})
    gone = api.done("PATCH", path, {"reads_with": nothing})

    assert [one["reads_with"] for one in (before, set_, again, kept, gone)] == [
        *("", reader.id, reader.id),
        *(reader.id, ""),
    ]


def nobody(world: World, account: Account) -> str:
    """No account."""
    return new_id("acc")


def itself(world: World, account: Account) -> str:
    """The account itself."""
    return account.name


def deleted(world: World, account: Account) -> str:
    """One that is deleted."""
    other = world.account(world.connector("google"))
    world.changing.delete_account(other, by="tests")
    return other.id


def a_chain(world: World, account: Account) -> str:
    """One that reads with another one."""
    return reading_with(world, world.account(world.connector("google"))).name


def the_end_of_a_chain(world: World, account: Account) -> str:
    """Another one, while the account is read with."""
    reading_with(world, account)
    return world.account(world.connector("google")).id


WRONG: list[tuple[Callable[[World, Account], str], int, str]] = [
    (nobody, 404, "account_not_found"),
    (deleted, 404, "account_not_found"),
    (itself, 422, "invalid_input"),
    (a_chain, 422, "invalid_input"),
    (the_end_of_a_chain, 422, "invalid_input"),
]


@pytest.mark.parametrize(("reader", "status", "code"), WRONG)
def test_with_whom_an_account_cannot_read_is_said(
    world: World, api: Api, reader: Callable[[World, Account], str], status: int, code: str
) -> None:
    account = world.account(world.connector("google"))

    error = api.refused("PATCH", f"/accounts/{account.id}", {"reads_with": reader(world, account)})

    assert (error["status"], error["code"], error["field"]) == (status, code, "reads_with")
    assert error["fix"]
    assert world.read(account).reads_with == ""


@pytest.mark.parametrize(("reader", "status"), [(nobody, 404), (deleted, 404), (a_chain, 422)])
def test_no_account_is_made_that_could_not_read(
    world: World, api: Api, reader: Callable[[World, Account], str], status: int
) -> None:
    connector = world.connector("google")
    other = world.account(connector)
    asked = {"connector": connector.id, "address": other.address, "name": "new"}

    error = api.refused("POST", "/accounts", {**asked, "reads_with": reader(world, other)})

    assert (error["status"], error["field"]) == (status, "reads_with")
    assert world.accounts_table.named("new") is None


def test_a_caller_must_administer_both(world: World) -> None:
    connector = world.connector("google")
    account, reader = world.account(connector), world.account(connector)
    path, asked = f"/accounts/{account.id}", {"reads_with": reader.id}

    of_one = Api(world, accounts=(account.id,)).refused("PATCH", path, asked)
    without_scope = Api(world, Scope.READ, accounts=(account.id, reader.id)).refused("PATCH", path, asked)
    of_both = Api(world, accounts=(account.id, reader.id)).done("PATCH", path, asked)

    unknown = Api(world).refused("PATCH", path, {"reads_with": new_id("acc")})
    assert (of_one["status"], of_one["field"]) == (404, "reads_with")
    assert of_one == unknown
    assert without_scope["code"] == "scope_missing"
    assert of_both["reads_with"] == reader.id


def test_an_account_that_others_read_with_is_not_deleted(world: World, api: Api) -> None:
    reader = world.connected("google")
    account = reading_with(world, reader)

    refused = api.refused("DELETE", f"/accounts/{reader.id}")
    kept = world.read(reader)
    api.done("PATCH", f"/accounts/{account.id}", {"reads_with": ""})
    done = api.done("DELETE", f"/accounts/{reader.id}")

    assert (refused["status"], refused["code"]) == (409, "account_in_use")
    assert account.name in refused["message"]
    assert kept.grant_state is GrantState.ACTIVE  # it was not disconnected either
    assert done["deleted"] is True


def test_an_account_that_reads_with_another_is_deleted_and_holds_that_one_no_longer(
    world: World, api: Api
) -> None:
    reader = world.account(world.connector("google"))
    account = reading_with(world, reader)

    for one in (account, reader):
        api.done("DELETE", f"/accounts/{one.id}")

    assert api.done("POST", f"/accounts/{account.id}/restore")["reads_with"] == reader.id


def test_many_accounts_are_looked_through_for_those_that_read_with_one(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, to the last."""
    monkeypatch.setattr("chalicelib.accounts.admin.readers.PAGE", 1)
    reader = world.account(world.connector("google"))
    names = {reading_with(world, reader).name for _ in range(3)}

    message = api.refused("DELETE", f"/accounts/{reader.id}")["message"]

    assert {name for name in names if name in message} == names


# Verifying


@pytest.fixture
def reading(world: World, dovecot: Dovecot) -> World:
    """The services of a deployment whose providers have a server of IMAP and POP3, too."""
    known = world.settings.provider_endpoints
    hosts = {
        "imap_host": "127.0.0.1",
        "imap_port": dovecot.ports["imaps"],
        "pop_host": "127.0.0.1",
        "pop_port": dovecot.ports["pop3s"],
    }
    world.settings = replace(
        world.settings, provider_endpoints={name: {**facts, **hosts} for name, facts in known.items()}
    )
    return world


def verify(world: World, account: Account, protocol: str) -> dict[str, Any]:
    """What verifying says."""
    found: dict[str, Any] = world.functions.connect(
        "verify", {"account_id": account.id, "protocol": protocol}
    )
    return found


def steps(answer: dict[str, Any], step: str) -> list[tuple[bool, str]]:
    """The steps of that name."""
    return [(one["ok"], one["said"]) for one in answer["steps"] if one["step"] == step]


def examined(world: World, account: Account) -> dict[str, str]:
    """What the doctor says of the other account."""
    report = Api(world).done("GET", f"/accounts/{account.id}/doctor")
    (found,) = (one for one in report["checks"] if one["check"] == "reads_with")
    return dict(found)


@pytest.mark.parametrize("protocol", ["imap", "pop"])
def test_mail_is_read_by_the_consent_of_the_other_account(
    reading: World, mail: MailServerClient, protocol: str
) -> None:
    reader = reading.connected("google")
    account = reading_with(reading, reader)  # nobody has connected it itself

    answer = verify(reading, account, protocol)

    assert answer["ok"] is True, answer
    assert steps(answer, "token") == [(True, f"a usable one, of the account {reader.name}")]
    assert [ok for ok, _ in steps(answer, "auth")] == [True]
    assert mail.sessions() == []
    assert reading.access_tokens.fresh(reader.id).value.reveal() not in str(answer)


def test_mail_is_sent_by_its_own_consent(reading: World, mail: MailServerClient) -> None:
    reader = reading.connected("google")
    account = reading_with(reading, reader)

    before = verify(reading, account, "smtp")
    reading.sign_in(account)
    after = verify(reading, account, "smtp")

    assert (before["ok"], before["diagnosis"]["code"]) == (False, "never_connected")
    assert "It reads with" not in before["diagnosis"]["message"]
    assert after["ok"] is True
    assert steps(after, "token") == [(True, "a usable one")]


def test_a_token_of_the_other_account_that_is_refused_is_refreshed_once(reading: World) -> None:
    reader = reading.connected("google")
    account = reading_with(reading, reader)
    reading.control.revoke(reader.address, what="access")

    answer = verify(reading, account, "imap")

    assert [ok for ok, _ in steps(answer, "auth")] == [False, True]
    assert steps(answer, "token")[1] == (True, f"a fresh one, of the account {reader.name}")
    assert reading.refreshes(reader) == 1


def test_what_is_wrong_with_the_other_account_is_said_of_that_one(reading: World) -> None:
    never = reading.account(reading.connector("google"))
    revoked = reading.connected("google")
    accounts = [reading_with(reading, reader) for reader in (never, revoked)]
    reading.control.revoke(revoked.address)
    reading.later = HOUR

    answers = [verify(reading, account, "imap") for account in accounts]

    assert [one["diagnosis"]["code"] for one in answers] == ["never_connected", "invalid_grant"]
    assert answers[0]["diagnosis"]["fix"] == f"Mend the account {never.name}: Open its connect link."
    assert "Mend" not in answers[1]["diagnosis"]["fix"]  # it was refused once, and is asked again by itself
    for reader, answer in zip((never, revoked), answers, strict=True):
        assert answer["diagnosis"]["message"].startswith(f"It reads with the account {reader.name}: ")
        assert steps(answer, "token") == [(False, answer["diagnosis"]["message"])]


def test_the_server_that_refuses_every_token_of_the_other_account_is_told(reading: World) -> None:
    """Its consent holds no permission to read."""
    reader = reading.connected("microsoft")
    account = reading_with(reading, reader)

    found = verify(reading, account, "imap")["diagnosis"]

    assert found["code"] == "imap_refused"
    assert found["fix"].startswith(f"Mend the account {reader.name}: ")


def test_an_account_whose_reader_was_deleted_at_the_same_moment_says_so(reading: World) -> None:
    reader = reading.account(reading.connector("google"))
    account = reading_with(reading, reader)
    before = examined(reading, account)
    reading.changing.delete_account(reader, by="tests")

    answer, after = verify(reading, account, "imap"), examined(reading, account)

    assert (answer["ok"], answer["diagnosis"]["code"]) == (False, "reader_deleted")
    assert steps(answer, "token") == [(False, GONE.message)]
    assert (before["result"], before["fix"]) == ("fail", f"Connect {reader.name}.")
    assert (after["result"], after["fix"]) == ("fail", GONE.fix)


def test_a_protocol_that_the_other_accounts_provider_does_not_have_is_refused(world: World) -> None:
    facts = {"smtp_host": "127.0.0.1"}
    made = world.registry.new_connector("other", "", "", credential="none", facts=facts)
    connector = world.registry.add_connector(made)
    reader = world.registry.create_account(connector.id, "help@mail.example", secrets.token_hex(4))
    account = reading_with(world, reader)

    with pytest.raises(InvalidInput) as refused:
        verify(world, account, "pop")

    assert refused.value.field == "protocol"


def test_O11_the_mailbox_that_is_meant_is_opened_by_a_persons_token(reading: World, dovecot: Dovecot) -> None:
    """Exchange lets in who may use it; Dovecot knows no such rights, and logs as whom it was signed in to."""
    connector = reading.registry.new_connector("microsoft", "", "reads", scopes=[IMAP])
    reader = connected_to_read(reading, connector)
    shared = f"info-{secrets.token_hex(4)}@mail.example"
    account = reading_with(reading, reader, shared)

    own, other = (verify(reading, one, "imap") for one in (reader, account))

    assert own["ok"] is True
    assert other["ok"] is False
    assert f"user=<{shared}>" in dovecot.log()


def test_a_token_that_opens_one_mailbox_opens_that(reading: World) -> None:
    reader = reading.connected("google")
    account = reading_with(reading, reader, f"noreply-{secrets.token_hex(4)}@mail.example")

    assert verify(reading, account, "imap")["ok"] is True


def test_a_password_may_be_what_is_read_with(reading: World, mail: MailServerClient) -> None:
    reader = reading.account(reading.connector("google"))
    password = secrets.token_hex(16)
    account = reading_with(reading, reader)
    reading.control.register_user(reader.address, provider="google", app_password=password)
    assert reading.direct.connect(reader.id, "password", password=password)["ok"] is True

    answer = verify(reading, account, "pop")

    assert answer["ok"] is True
    assert password not in str(answer)


def connected_to_read(world: World, connector: Connector) -> Account:
    """A connected account whose owner was asked for what the connector asks."""
    secret = secrets.token_hex(16)
    redirect_uri = f"{world.public_url()}/oauth/callback/{connector.id}"
    connector = replace(connector, client_id=f"client-{secrets.token_hex(4)}")
    world.control.register_client(connector.client_id, secret, [redirect_uri], "microsoft")
    world.credentials.save(connector.id, secret)
    account = world.account(world.registry.add_connector(connector))
    assert world.sign_in(account)["outcome"] == "connected"
    return account


# The doctor

SENDING = Account("acc_s", "sending", "sales@contoso.test", "con_s", 0, reads_with="acc_r")
READING = Account(
    "acc_r", "incoming", "Sales@Contoso.test", "con_r", 0, grant_state=GrantState.ACTIVE, connected_at=0
)
REVOKED = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "It was revoked.", "Reconnect it.")
BROKEN = Diagnosis(DiagnosisClass.ADMIN, "AADSTS7000222", "The secret has ended.", "Make another.")
BUSY = Diagnosis(DiagnosisClass.RETRY, "http_503", "It is busy.", "Nothing.")
ANOTHER: dict[str, Any] = {"address": "help@contoso.test"}
ASKED = replace(MICROSOFT, required_scopes=(IMAP,))


def reader(facts: ProviderFacts = ASKED, *, problem: Diagnosis | None = None, **changed: Any) -> Reader:
    """The other account, about which nothing is wrong but what is named; the problem is its connector's."""
    return Reader(replace(READING, **changed), Connector("con_r", "x", "", "", "", 0, problem=problem), facts)


ROWS: list[tuple[Reader | None, str, str, str]] = [
    (reader(), "pass", "incoming", ""),
    (reader(GOOGLE), "pass", "incoming", ""),
    (None, "fail", "deleted", "Restore"),
    (reader(grant_state=GrantState.NONE), "fail", "not connected", "Connect incoming"),
    (reader(grant_state=GrantState.NEEDS_RECONNECT), "fail", "not connected", "Connect incoming"),
    (reader(problem=BROKEN), "fail", "AADSTS7000222", "Mend incoming: Make another."),
    (reader(OTHER), "fail", "no server", "imap_host"),
    (reader(MICROSOFT), "fail", "no permission to read", IMAP),
    (reader(MICROSOFT, auth_mode=AuthMode.CLIENT_CREDENTIALS), "pass", "incoming", ""),
    (reader(**ANOTHER), "warn", "needs a right", "-Identity 'sales@contoso.test' -User 'help@contoso.test'"),
    (reader(**ANOTHER, signs_in_as="bob@contoso.test"), "warn", "a right", "-User 'bob@contoso.test'"),
    (
        reader(**ANOTHER, auth_mode=AuthMode.CLIENT_CREDENTIALS),
        "warn",
        "sales@contoso.test is opened",
        "doctor of incoming",
    ),
    (reader(GOOGLE, **ANOTHER), "warn", "opens help@contoso.test", "the mailbox itself"),
    (reader(**ANOTHER, auth_mode=AuthMode.PASSWORD), "warn", "opens help@contoso.test", "mailbox itself"),
]


@pytest.mark.parametrize(("other", "result", "part", "fix"), ROWS)
def test_the_doctor_looks_at_the_other_account(
    other: Reader | None, result: str, part: str, fix: str
) -> None:
    found = reads_with(SENDING, other)

    assert found.result == result
    assert part in found.message
    assert fix in found.fix


def test_an_account_without_another_one_is_not_looked_at() -> None:
    assert reads_with(replace(SENDING, reads_with=""), None).result == "skip"


@pytest.mark.parametrize(
    ("state", "problem", "result"),
    [(GrantState.NEEDS_RECONNECT, REVOKED, "fail"), (GrantState.ACTIVE, BUSY, "warn")],
)
def test_the_problem_of_the_other_account_comes_with_its_fix(
    state: GrantState, problem: Diagnosis, result: str
) -> None:
    other = Reader(
        replace(READING, grant_state=state, problem=problem), Connector("con_r", "x", "", "", "", 0), ASKED
    )

    found = reads_with(SENDING, other)

    assert (found.result, found.fix) == (result, f"Mend incoming: {problem.fix}")
    assert problem.message in found.message
