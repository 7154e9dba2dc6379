"""Rows U-C1, U-C2, U-F4: what waits on the rescue queue is neither passed over nor less than it was."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.connecting.consent import Standing
from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.grant import AccessToken, Identity, TokenSet
from chalicelib.accounts.tokens import keeping
from chalicelib.accounts.tokens.refreshing import Mailbox, Turn, mailbox_of
from chalicelib.aws.failures import translated
from chalicelib.clock import HOUR, MINUTE, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import ConfigurationError, Diagnosed, Unavailable
from chalicelib.secret import Secret
from tests.unit.accounts_world import World, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.grant import Grant

__all__ = ["world"]

BLOCK = Diagnosis(DiagnosisClass.RECONNECT, "mailbox_unproven", "Not proved.", "Send.")


@pytest.fixture(autouse=True)
def empty_queue(world: World) -> Iterator[None]:
    """The queue is one for all tests of a process."""
    world.aws.clients.sqs.purge_queue(QueueUrl=world.settings.rescue_queue_url)
    yield
    world.aws.clients.sqs.purge_queue(QueueUrl=world.settings.rescue_queue_url)


def left_behind(world: World) -> Account:
    """An account whose refresher died after its newer token was put on the rescue queue."""
    account = world.connected("microsoft")
    grant, now = stored(world, account), world.now()
    assert world.grants_table.lease(grant, owner="dead", now=now, until=now + MINUTE)
    sealed = world.keeper.prepare(account.id).refresh_token(Secret("newer"), grant.version + 1)
    newer = replace(grant, version=grant.version + 1, refresh_token=sealed)
    world.keeper.rescue(newer, until=now)
    world.later += MINUTE + SECOND
    return account


def stored(world: World, account: Account) -> Grant:
    """The account's grant as it is now."""
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return grant


def test_uc1_a_token_that_another_worker_has_in_hand_is_not_passed_over(world: World) -> None:
    account = left_behind(world)
    ((receipt, _),) = world.rescue_queue.take()

    with pytest.raises(Unavailable):
        world.tokens.ensure(account.id, failed_version=1)

    assert world.refreshes(account) == 0
    world.rescue_queue.put_back(receipt)
    world.later += MINUTE + SECOND
    with pytest.raises(Diagnosed):  # the provider does not know the made-up token
        world.tokens.ensure(account.id, failed_version=2)
    assert world.keeper.reveal(stored(world, account)).reveal() == "newer"


@pytest.mark.parametrize("error", [Unavailable("No.", fix="Do."), ConfigurationError("denied")], ids=repr)
@pytest.mark.parametrize("step", ["take", "depth"])
def test_uc1_where_the_queue_fails_the_provider_is_not_asked(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    account = left_behind(world)

    def broken(**_: object) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(world.rescue_queue, step, broken)
        patched.setattr(world.keeper, "_queue", world.rescue_queue)
        if step == "depth":
            patched.setattr(world.rescue_queue, "take", lambda **_: [])
        with pytest.raises((Unavailable, ConfigurationError)):
            world.tokens.ensure(account.id, failed_version=1)

    assert world.refreshes(account) == 0


def test_uc1_grants_of_others_that_cannot_be_saved_hold_up_nobody(world: World) -> None:
    account = world.connected("microsoft")
    grant, now = stored(world, account), world.now()
    assert world.grants_table.lease(grant, owner="dead", now=now, until=now + MINUTE)
    world.rescue_queue.put("not a grant")
    world.later += MINUTE + SECOND

    world.tokens.ensure(account.id, failed_version=1)
    world.later += HOUR

    assert stored(world, account).version == 2
    assert [body for _, body in world.rescue_queue.take()] == ["not a grant"]


def tokens_of(mailbox: str) -> TokenSet:
    """What a provider gives for a mailbox."""
    return TokenSet(
        access_token=Secret(secrets.token_urlsafe()),
        expires_at=2_000_000_000_000,
        refresh_token=Secret(secrets.token_urlsafe()),
        scopes=frozenset({"https://outlook.office.com/SMTP.Send"}),
        identity=Identity("issuer", f"subject of {mailbox}", (mailbox,)),
    )


def consent(world: World, account: Account, mode: AuthMode, tokens: TokenSet, *, is_saved: bool) -> None:
    """Connects the account in that auth mode; where it is not saved at once, it is rescued and drained."""
    before = world.read(account)
    after = replace(before, auth_mode=mode, smtp_user=f"user of {mode}")
    mailbox = mailbox_of(after, world.connectors_table, world.providers)
    save = partial(
        world._consents.save,
        mailbox,
        tokens,
        world._consents.prepare(account.id),
        before=before,
        standing=Standing(block=BLOCK),
    )
    if is_saved:
        save()
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(world.grants_table), "save_connected", refuse(world))
        patched.setattr(keeping, "time", SimpleNamespace(sleep=wait(world)))
        with pytest.raises(Unavailable):
            save()


def refuse(world: World) -> Any:
    """A table that does not answer."""

    def refused(*_: object, **__: object) -> bool:
        raise Unavailable("The table did not answer.", fix="Try again.")

    return refused


def wait(world: World) -> Any:
    """Waiting moves the world's clock."""

    def slept(seconds: float) -> None:
        world.later += int(seconds * SECOND) + SECOND

    return slept


def state_of(world: World, account: Account) -> dict[str, Any]:
    """All that a consent writes, as it can be compared between accounts."""
    row, grant = world.read(account), stored(world, account)
    previous = grant.previous
    return {
        "auth_mode": row.auth_mode,
        "smtp_user": row.smtp_user,
        "transport_block": row.transport_block,
        "grant_state": row.grant_state,
        "problem": row.problem,
        "is_connected": row.connected_at == grant.granted_at,
        "version": grant.version,
        "grant's mode": grant.auth_mode,
        "secret": world.keeper.reveal(grant).reveal(),
        "scopes": grant.scopes,
        "identity": grant.identity,
        "previous": None
        if previous is None
        else (previous.auth_mode, previous.smtp_user, previous.version, previous.identity, previous.scopes),
    }


@pytest.mark.parametrize("later", AuthMode)
@pytest.mark.parametrize("earlier", AuthMode)
def test_uc2_a_rescued_consent_is_all_that_it_would_have_been(
    world: World, earlier: AuthMode, later: AuthMode
) -> None:
    """For every switch of the auth mode, the same one too."""
    connector = world.connector("microsoft")
    first, second = tokens_of("ada@mail.example"), tokens_of("ada@mail.example")
    saved, rescued = world.account(connector), world.account(connector)
    for account in (saved, rescued):
        consent(world, account, earlier, first, is_saved=True)

    consent(world, saved, later, second, is_saved=True)
    consent(world, rescued, later, second, is_saved=False)
    world.rescuing.drain(until=world.now() + MINUTE)

    assert state_of(world, rescued) == state_of(world, saved)
    assert world.grants_table.access_token(rescued.id) is None
    assert (stored(world, rescued).refresh_due_at or 0) <= world.now()


@pytest.mark.parametrize("mode", AuthMode)
def test_uc2_a_rescued_consent_never_replaces_a_newer_one(world: World, mode: AuthMode) -> None:
    account = world.account(world.connector("microsoft"))
    consent(world, account, AuthMode.AUTHORIZATION_CODE, tokens_of("ada@mail.example"), is_saved=True)
    consent(world, account, mode, tokens_of("ada@mail.example"), is_saved=False)
    consent(world, account, AuthMode.PASSWORD, tokens_of("ada@mail.example"), is_saved=True)
    newest = state_of(world, account)

    world.rescuing.drain(until=world.now() + MINUTE)
    world.rescuing.drain(until=world.now() + MINUTE)

    assert state_of(world, account) == newest
    assert world.rescue_queue.take() == []


def test_uc2_a_rescued_refresh_keeps_what_is_kept_for_a_roll_back(world: World) -> None:
    account = world.account(world.connector("microsoft"))
    consent(world, account, AuthMode.PASSWORD, tokens_of("ada@mail.example"), is_saved=True)
    consent(world, account, AuthMode.AUTHORIZATION_CODE, tokens_of("ada@mail.example"), is_saved=True)
    grant = stored(world, account)
    sealed = world.keeper.prepare(account.id).refresh_token(Secret("newer"), grant.version + 1)
    newer = replace(grant, version=grant.version + 1, refresh_token=sealed, previous=None)

    world.keeper.rescue(newer, until=world.now())
    world.rescuing.drain(until=world.now() + MINUTE)

    assert stored(world, account).previous == grant.previous
    assert world.keeper.reveal(stored(world, account)).reveal() == "newer"
    assert world.read(account).auth_mode is AuthMode.AUTHORIZATION_CODE


def test_uc2_a_grant_of_another_auth_mode_is_presented_to_no_provider(world: World) -> None:
    """The account was read before it was switched, its grant afterwards."""
    account = world.connected("microsoft")
    grant = replace(stored(world, account), auth_mode=AuthMode.PASSWORD)
    mailbox: Mailbox = mailbox_of(account, world.connectors_table, world.providers)
    turn = Turn("w", world.now() + MINUTE, in_use=True)

    with pytest.raises(Unavailable):
        world.tokens._refresher.refresh(grant, mailbox, turn)

    assert world.refreshes(account) == 0


@pytest.mark.parametrize("mode", AuthMode)
@pytest.mark.parametrize("is_password", [True, False])
def test_uc2_a_secret_of_another_auth_mode_is_shown_to_no_server(
    *, mode: AuthMode, is_password: bool
) -> None:
    token = AccessToken(Secret("s3cret"), 1, 0, is_password=is_password)

    if is_password == (mode is AuthMode.PASSWORD):
        assert token.secret_for(mode).reveal() == "s3cret"
        return
    with pytest.raises(Unavailable):
        token.secret_for(mode)


def test_uc2_what_relays_by_a_password_says_so(world: World) -> None:
    account = world.account(world.connector("microsoft"))
    consent(world, account, AuthMode.PASSWORD, tokens_of("ada@mail.example"), is_saved=True)

    assert world.access_tokens.fresh(account.id).is_password
    assert world.read(account).grant_state is GrantState.ACTIVE


@pytest.mark.parametrize(
    "code",
    [
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "TooManyRequestsException",
    ],
)
def test_uf4_every_word_for_throttling_passes(code: str) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(Unavailable), translated("The queue"):
        raise ClientError({"Error": {"Code": code}}, "SendMessage")


def test_uf4_botocore_knows_no_further_word_for_throttling() -> None:
    from botocore.retries import standard

    from chalicelib.aws.failures import TRANSIENT

    checkers: Any = standard
    throttling = checkers.ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    passing = checkers.TransientRetryableChecker._TRANSIENT_ERROR_CODES
    assert {*throttling, *passing} <= TRANSIENT


@pytest.mark.parametrize("error", [Unavailable("No.", fix="Do."), ConfigurationError("x"), OSError("gone")])
def test_uf4_a_queue_that_refuses_loses_no_token(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    account = world.connected("microsoft")
    put, refusals = world.rescue_queue.put, iter([error] * 3)

    def refused(body: str) -> None:
        for refusal in refusals:
            raise refusal
        put(body)

    monkeypatch.setattr(world.rescue_queue, "put", refused)
    monkeypatch.setattr(keeping, "time", SimpleNamespace(sleep=wait(world)))
    world.keeper.rescue(stored(world, account), until=world.now() + MINUTE)

    assert len(world.rescue_queue.take()) == 1
