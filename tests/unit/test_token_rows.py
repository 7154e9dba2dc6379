"""The rows of refreshing: judged by the provider's own log and by the stored rows."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import Grant, SealedToken
from chalicelib.accounts.tokens import care as token_care
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import ConfigurationError, Diagnosed, Unavailable
from tests.unit.accounts_world import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]
pytestmark = pytest.mark.aws

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]
TEMPERAMENTS = ["microsoft", "google", "strict"]


class Killed(BaseException):
    """The process dies here: nothing but a `finally` sees it."""


def grant_of(world: World, account: Account) -> Grant:
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return grant


def secret_of(world: World, account: Account) -> str:
    return world.keeper.reveal(grant_of(world, account)).reveal()


def ensure(world: World, account: Account) -> None:
    """Has the token replaced, whatever its age."""
    version = grant_of(world, account).version
    world.tokens.ensure(account.id, failed_version=version, until=world.now() + MINUTE)


def refused(world: World, account: Account) -> DiagnosisClass:
    """The class of the diagnosis with which a replacement ends."""
    with pytest.raises(Diagnosed) as caught:
        ensure(world, account)
    return caught.value.diagnosis.class_


def connected(world: World, temperament: str) -> Account:
    """A connected account at a provider of that temperament."""
    provider: Literal["microsoft", "google"] = "google" if temperament == "google" else "microsoft"
    account = world.account(world.connector(provider, temperament=temperament))
    assert world.sign_in(account)["outcome"] == "connected"
    return world.read(account)


def during_the_request(world: World, monkeypatch: pytest.MonkeyPatch, what: Callable[[], None]) -> None:
    """Does that in the first request, after everything was looked at and before the provider hears of it."""
    provider, waiting = world.providers.usual("microsoft"), [what]
    original = provider.refresh

    def refresh(*arguments: Any) -> Any:
        if waiting:
            waiting.pop()()
        return original(*arguments)

    monkeypatch.setattr(provider, "refresh", refresh)


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_R1_nobody_asks_while_another_one_asks(world: World, temperament: str) -> None:
    account = connected(world, temperament)
    world.later = 2 * HOUR
    world.control.inject("token", user=account.address, delay=0.7)

    tokens = world.at_once(20, lambda: world.access_tokens.fresh(account.id))

    assert {getattr(token, "version", token) for token in tokens} == {2}
    assert world.refreshes(account) == 1


def test_R2_a_version_never_goes_back(world: World) -> None:
    account = world.connected("microsoft")
    old = grant_of(world, account)
    world.grants_table.lease(old, owner="slow", now=world.now(), until=world.now() - 1)
    for _ in range(2):
        ensure(world, account)
    newest = grant_of(world, account)

    late = replace(old, version=2)
    token = SealedToken(account.id, b"late", 2, world.now() + HOUR, world.now())
    saved = world.grants_table.save_refreshed(late, token, owner="slow")

    assert not saved
    assert not world.grants_table.save_rescued(late)
    assert grant_of(world, account) == newest
    assert newest.version == 3


@pytest.mark.parametrize(
    "answers",
    [
        [{"error": "invalid_grant"}, {"error": "invalid_grant"}],
        [{"status": 500, "body": "<html>"}],
        [{"status": 429, "retry_after": 60}],
        [{"error": "invalid_client"}],
        [{"drop": "before"}],
        [{"omit": ("refresh_token",)}],
        [{"status": 200, "body": {"access_token": "x", "refresh_token": "", "expires_in": 3600}}],
    ],
    ids=["dead", "500", "429", "client", "dropped", "none", "empty"],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_R4_no_answer_deletes_a_refresh_token(
    world: World, provider: Literal["microsoft", "google"], answers: list[dict[str, Any]]
) -> None:
    account = world.connected(provider)
    before = secret_of(world, account)

    for answer in answers:
        world.control.inject("token", user=account.address, **answer)
        try:
            ensure(world, account)
        except Diagnosed:
            world.later += 6 * MINUTE

    assert secret_of(world, account) == before


def test_R5_a_refusal_that_comes_late_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("microsoft")

    def another_is_faster() -> None:
        world.later += 2 * MINUTE
        ensure(world, account)
        world.control.inject("token", user=account.address, error="invalid_grant")

    during_the_request(world, monkeypatch, another_is_faster)
    ensure(world, account)

    grant, read = grant_of(world, account), world.read(account)
    assert world.refreshes(account) == 2
    assert (grant.version, grant.first_refused_at, read.problem) == (2, None, None)
    assert read.grant_state is GrantState.ACTIVE


def test_R10_whoever_waits_uses_the_token_of_the_winner(world: World) -> None:
    account = world.connected("microsoft")
    grant, now = grant_of(world, account), world.now()
    assert world.grants_table.lease(grant, owner="winner", now=now, until=now + MINUTE)
    waiting = threading.Thread(target=world.tokens.ensure, args=[account.id], kwargs={"failed_version": 1})
    waiting.start()
    time.sleep(0.3)
    still_waiting = waiting.is_alive()

    sealed = world.keeper.prepare(account.id).refresh_token(world.keeper.reveal(grant), 2)
    token = SealedToken(account.id, b"the winner's", 2, now + HOUR, now)
    newer = replace(grant, version=2, refresh_token=sealed)
    assert world.grants_table.save_refreshed(newer, token, owner="winner")
    waiting.join()

    assert still_waiting
    assert world.refreshes(account) == 0


def test_R11_the_lease_of_a_dead_worker_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("microsoft")

    def dies() -> None:
        raise Killed

    during_the_request(world, monkeypatch, dies)
    with pytest.raises(Killed):
        ensure(world, account)
    left = grant_of(world, account)
    with pytest.raises(Unavailable):
        world.tokens.ensure(account.id, failed_version=1, until=world.now() + 2 * SECOND)
    world.later = MINUTE + SECOND
    ensure(world, account)

    assert left.lease_owner is not None
    assert left.lease_until <= world.now()
    assert grant_of(world, account).version == 2
    assert world.refreshes(account) == 1


@pytest.mark.parametrize("life", [None, 0, -5, 10**9], ids=["missing", "zero", "negative", "huge"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_R13_a_life_that_makes_no_sense_is_bounded(
    world: World, provider: Literal["microsoft", "google"], life: int | None
) -> None:
    account = world.connected(provider)
    if life is None:
        world.control.inject("token", user=account.address, omit=("expires_in",))
    else:
        scope = "https://mail.google.com/ https://outlook.office.com/SMTP.Send"
        body = {"access_token": "x", "token_type": "Bearer", "expires_in": life, "scope": scope}
        world.control.inject("token", status=200, body=body, user=account.address)

    ensure(world, account)

    token = world.access_tokens_table.get(account.id)
    assert token is not None
    assert token.version == 2
    assert MINUTE - SECOND <= token.expires_at - token.obtained_at <= DAY


def test_F21_an_hour_of_failures_holds_nothing_and_passes(world: World) -> None:
    account = world.connected("google")
    world.control.inject("token", status=500, times=None, user=account.address)

    used = []
    for minutes in range(0, 59, 5):
        world.later = minutes * MINUTE
        used.append(world.access_tokens.fresh(account.id).version)
        world.tokens.refresh_due(until=world.now() + MINUTE)
    for minutes in range(60, 121, 10):
        world.later = minutes * MINUTE
        with pytest.raises(Diagnosed) as caught:
            world.access_tokens.fresh(account.id)
        assert caught.value.diagnosis.class_ is DiagnosisClass.RETRY
    held = world.read(account).grant_state
    world.control.clear_faults()
    world.later += 10 * MINUTE
    recovered = world.access_tokens.fresh(account.id)

    assert set(used) == {1}
    assert held is GrantState.ACTIVE
    assert recovered.version == 2
    assert world.read(account).problem is None


def test_F25_a_refresher_that_sleeps_before_it_asks_does_not_ask(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("microsoft")
    prepare, slept = world.keeper.prepare, threading.Event()

    def slow(name: str) -> Any:
        if not slept.is_set():
            slept.set()
            world.later += 2 * MINUTE
            ensure(world, account)
        return prepare(name)

    monkeypatch.setattr(world.keeper, "prepare", slow)
    with pytest.raises(Unavailable):
        world.tokens.ensure(account.id, failed_version=1, until=world.now() + 10 * MINUTE)

    assert world.refreshes(account) == 1
    assert grant_of(world, account).version == 2


def test_F25_a_refresher_that_sleeps_while_it_asks_saves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("microsoft")
    newest: list[Grant] = []

    def sleep() -> None:
        world.later += 2 * MINUTE
        ensure(world, account)
        newest.append(grant_of(world, account))

    during_the_request(world, monkeypatch, sleep)
    ensure(world, account)
    world.rescuing.drain(until=world.now() + MINUTE)

    assert world.refreshes(account) == 2
    assert [grant_of(world, account)] == newest
    ensure(world, account)
    assert grant_of(world, account).version == 3


@pytest.mark.parametrize("end", ["the answer is lost", "killed before the save"])
@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_F26_a_rotation_that_was_not_saved(
    world: World, monkeypatch: pytest.MonkeyPatch, temperament: str, end: str
) -> None:
    account = connected(world, temperament)

    if end == "killed before the save":
        with monkeypatch.context() as patched:
            patched.setattr(world.keeper, "keep", _dies)
            with pytest.raises(Killed):
                ensure(world, account)
    else:
        world.control.inject("token", drop="after", user=account.address)
        assert refused(world, account) is DiagnosisClass.RETRY
    classes = []
    for _ in range(6):
        world.later += 10 * MINUTE
        try:
            ensure(world, account)
        except Diagnosed as no:
            classes.append(no.diagnosis.class_)

    if temperament == "strict":
        assert classes == [DiagnosisClass.RETRY] + 5 * [DiagnosisClass.RECONNECT]
        assert world.refreshes(account) == 3  # the lost one, and the old token twice
        assert world.read(account).grant_state is GrantState.NEEDS_RECONNECT
    else:
        assert classes == []
        assert grant_of(world, account).version == 7
        assert world.read(account).problem is None


def _dies(*_: object, **__: object) -> None:
    raise Killed


def test_F27_a_save_that_is_refused_for_half_a_minute_ends_on_the_rescue_queue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = connected(world, "strict")
    tried: list[int] = []

    def throttled(*_: object, **__: object) -> bool:
        tried.append(world.now())
        raise Unavailable("The table of grants did not answer.", fix="Try again.")

    def pass_quickly(seconds: float) -> None:
        world.later += int(seconds * 10 * SECOND)

    began = world.now()
    with monkeypatch.context() as patched:
        patched.setattr(type(world.grants_table), "save_refreshed", throttled)
        patched.setattr("chalicelib.accounts.tokens.keeping.time.sleep", pass_quickly)
        with pytest.raises(Unavailable):
            ensure(world, account)
    unsaved = grant_of(world, account)
    fresh = fresh_process(world)
    fresh.refresh_schedule.run(until=fresh.now() + MINUTE)

    rescued = grant_of(world, account)
    assert tried[-1] - began > 30 * SECOND
    assert (unsaved.version, rescued.version) == (1, 3)  # saved as 2, and refreshed as it was due at once
    assert world.read(account).grant_state is GrantState.ACTIVE
    assert world.refreshes(account) == 2
    assert world.rescue_queue.take() == []


def fresh_process(world: World) -> World:
    """The same deployment in a process that knows nothing, after the lease of the one before has ended."""
    fresh = type(world)(world.aws, _At(world), world.control, world.authority)  # type: ignore[arg-type]
    fresh.later = world.later + MINUTE + SECOND
    return fresh


class _At:
    """Where the provider is."""

    def __init__(self, world: World) -> None:
        self.url = world.settings.provider_endpoints["microsoft"]["login"]


def test_F28_a_denied_key_damages_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("microsoft")
    before = grant_of(world, account)

    def denied(*_: object) -> object:
        raise ConfigurationError("AWS answered AccessDeniedException")

    monkeypatch.setattr(type(world.grants_vault), "sealer", denied)
    with pytest.raises(ConfigurationError):  # the invocation fails: its operator's alarm
        ensure(world, account)

    assert world.refreshes(account) == 0
    assert grant_of(world, account) == before
    assert world.read(account).grant_state is GrantState.ACTIVE


def test_F29_a_key_that_was_disabled_and_is_enabled_again(world: World) -> None:
    account = world.connected("microsoft")
    before = grant_of(world, account)
    kms, key = world.clients.kms, world.settings.grants_key_arn

    kms.disable_key(KeyId=key)
    try:
        with pytest.raises((Unavailable, ConfigurationError)):
            ensure(world, account)
        without = grant_of(world, account)
    finally:
        kms.enable_key(KeyId=key)
    asked = world.refreshes(account)
    ensure(world, account)

    assert asked == 0
    assert without == before
    assert grant_of(world, account).version == 2


def test_F31_schedules_that_overlap_refresh_each_grant_once(world: World) -> None:
    connector = world.connector("microsoft")
    accounts = [world.account(connector) for _ in range(4)]
    for account in accounts:
        world.sign_in(account)
    world.later = 60 * DAY

    world.at_once(3, lambda: world.refresh_schedule.run(until=world.now() + MINUTE))

    assert [world.refreshes(account) for account in accounts] == [1] * 4
    assert [grant_of(world, account).version for account in accounts] == [2] * 4


def test_F32_a_schedule_that_was_down_begins_with_the_oldest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = world.connector("microsoft")
    accounts = [world.account(connector) for _ in range(12)]
    for hours, account in enumerate(accounts):
        world.sign_in(account)
        grant = grant_of(world, account)
        world.grants_table.reschedule(grant, world.now() - (12 - hours) * HOUR, grant.due_reason)

    monkeypatch.setattr(token_care, "AT_ONCE", 1)
    world.tokens.refresh_due(until=world.now() + MINUTE)

    served = [
        request.user
        for request in world.control.token_requests()
        if request.grant_type == "refresh_token" and request.client_id == connector.client_id
    ]
    ages = {account.address: hours for hours, account in enumerate(accounts)}
    assert sorted(served) == sorted(ages)
    # In each shard the oldest first, and no shard waits for another one.
    assert served.index(accounts[0].address) < 4
    assert sum(ages[user] for user in served[:4]) < sum(ages[user] for user in served[-4:])


def test_F32_one_look_asks_for_few_at_once(world: World) -> None:
    connector = world.connector("microsoft")
    accounts = [world.account(connector) for _ in range(token_care.AT_ONCE + 4)]
    for account in accounts:
        world.sign_in(account)
    world.later = 60 * DAY
    delay = 0.3
    world.control.inject("token", client_id=connector.client_id, delay=delay, times=None)

    world.tokens.refresh([account.id for account in accounts], until=world.now() + MINUTE)

    times = [
        request.time
        for request in world.control.token_requests()
        if request.grant_type == "refresh_token" and request.client_id == connector.client_id
    ]
    assert len(times) == len(accounts)
    # Each took as long as the delay at least: those of one delay were all under way at one moment.
    at_once = [sum(first <= time < first + delay for time in times) for first in times]
    assert max(at_once) <= token_care.AT_ONCE


@pytest.mark.parametrize("provider", PROVIDERS)
def test_F39_an_answer_with_nothing_but_an_access_token(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)
    before, scopes = secret_of(world, account), grant_of(world, account).scopes
    world.control.inject(
        "token", user=account.address, omit=("refresh_token", "scope", "expires_in", "id_token")
    )

    ensure(world, account)

    token, grant = world.access_tokens_table.get(account.id), grant_of(world, account)
    assert token is not None
    assert (grant.version, secret_of(world, account)) == (2, before)
    assert grant.scopes == scopes
    assert MINUTE - SECOND <= token.expires_at - token.obtained_at <= DAY


@pytest.mark.parametrize("provider", PROVIDERS)
def test_F39_an_answer_with_less_scope_is_not_sent_with(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)
    body = {"access_token": "x", "token_type": "Bearer", "expires_in": 3600, "scope": "openid"}
    world.control.inject("token", status=200, body=body, user=account.address)

    assert refused(world, account) is DiagnosisClass.RECONNECT

    token = world.access_tokens_table.get(account.id)
    assert token is not None
    assert token.version == 1
