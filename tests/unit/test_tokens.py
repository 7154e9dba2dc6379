"""The care of tokens, against real tables, keys, queues and the sandbox's provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from chalicelib import clock
from chalicelib.accounts.models.account import GrantState, Status, status
from chalicelib.accounts.models.grant import DueReason
from chalicelib.accounts.tokens import rules
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import Diagnosed, Unavailable
from chalicelib.providers.replies import diagnose
from tests.unit.accounts_world import world

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.grant import Grant
    from tests.unit.accounts_world import World

__all__ = ["world"]

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]


def grant_of(world: World, account: Account) -> Grant:
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return grant


def until(world: World) -> int:
    return world.now() + MINUTE


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_expired_token_is_refreshed_when_it_is_asked_for(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)
    world.later = 2 * HOUR

    token = world.access_tokens.fresh(account.id)

    assert token.version == 2
    assert world.control.introspect(token.value.reveal())["active"]
    assert world.refreshes(account) == 1
    assert world.read(account).refreshed_at == grant_of(world, account).refreshed_at


def test_a_token_that_is_good_is_read_and_nobody_is_asked(world: World) -> None:
    account = world.connected()

    token = world.access_tokens.fresh(account.id)

    assert token.version == 1
    assert world.refreshes(account) == 0


def test_the_version_that_failed_is_replaced_once(world: World) -> None:
    account = world.connected()

    first = world.access_tokens.fresh(account.id, failed_version=1)
    second = world.access_tokens.fresh(account.id, failed_version=1)

    assert (first.version, second.version) == (2, 2)
    assert world.refreshes(account) == 1


def test_R8_google_keeps_its_refresh_token(world: World) -> None:
    account = world.connected("google")
    before = world.keeper.reveal(grant_of(world, account)).reveal()

    world.access_tokens.fresh(account.id, failed_version=1)

    assert world.keeper.reveal(grant_of(world, account)).reveal() == before


def test_a_rotated_refresh_token_replaces_the_one_before(world: World) -> None:
    account = world.connected("microsoft")
    before = world.keeper.reveal(grant_of(world, account)).reveal()

    world.access_tokens.fresh(account.id, failed_version=1)

    assert world.keeper.reveal(grant_of(world, account)).reveal() != before


@pytest.mark.parametrize("lifetime", [3600, 60], ids=["an hour", "a minute"])
def test_F24_twenty_workers_need_one_expired_token_and_the_provider_is_asked_once(
    world: World, lifetime: int
) -> None:
    account = world.connected()
    world.later = 2 * HOUR
    world.control.set_lifetime(access=lifetime)

    tokens = world.at_once(20, lambda: world.access_tokens.fresh(account.id))

    assert {getattr(token, "version", token) for token in tokens} == {2}
    assert world.refreshes(account) == 1


def test_R1_a_worker_whose_lease_has_ended_is_followed_by_another(world: World) -> None:
    account = world.connected()
    grant = grant_of(world, account)
    assert world.grants_table.lease(grant, owner="dead", now=world.now(), until=world.now() + MINUTE)
    world.later = 2 * HOUR

    token = world.access_tokens.fresh(account.id)

    assert token.version == 2


def test_R2_a_worker_that_slept_through_its_lease_saves_nothing(world: World) -> None:
    account = world.connected()
    slow = grant_of(world, account)
    world.grants_table.lease(slow, owner="slow", now=world.now(), until=world.now() - 1)
    world.access_tokens.fresh(account.id, failed_version=1)
    newest = grant_of(world, account)

    diagnosis = diagnose("microsoft", {"error": "invalid_grant"})
    done = world.grants_table.save_refused(slow, diagnosis, GrantState.NEEDS_RECONNECT, owner="slow")

    assert not done
    assert grant_of(world, account) == newest
    assert world.read(account).grant_state is GrantState.ACTIVE


def test_R6_a_refused_grant_is_believed_at_the_second_refusal(world: World) -> None:
    account = world.connected("google")
    world.control.revoke(account.address)

    with pytest.raises(Diagnosed) as first:
        world.access_tokens.fresh(account.id, failed_version=1)
    doubted = world.read(account)
    world.later = 5 * MINUTE + SECOND
    with pytest.raises(Diagnosed) as second:
        world.access_tokens.fresh(account.id, failed_version=1)

    assert first.value.diagnosis.class_ is DiagnosisClass.RETRY
    assert doubted.grant_state is GrantState.ACTIVE
    assert second.value.diagnosis.class_ is DiagnosisClass.RECONNECT
    assert world.read(account).grant_state is GrantState.NEEDS_RECONNECT
    assert grant_of(world, account).refresh_token


def test_R7_a_dead_grant_is_never_asked_for_again_by_itself(world: World) -> None:
    account = world.connected("google")
    world.control.revoke(account.address)
    for later in (0, 6 * MINUTE):
        world.later = later
        with pytest.raises(Diagnosed):
            world.access_tokens.fresh(account.id, failed_version=1)
    before = world.refreshes(account)

    for later in (7 * MINUTE, DAY):
        world.later = later
        with pytest.raises(Diagnosed) as refused:
            world.access_tokens.fresh(account.id, failed_version=1)
        world.tokens.refresh_due(until=until(world))

    assert refused.value.diagnosis.class_ is DiagnosisClass.RECONNECT
    assert world.refreshes(account) == before
    assert grant_of(world, account).refresh_due_at is None


def test_reconnecting_a_dead_grant_revives_the_account(world: World) -> None:
    account = world.connected("google")
    world.control.revoke(account.address)
    for later in (0, 6 * MINUTE):
        world.later = later
        with pytest.raises(Diagnosed):
            world.access_tokens.fresh(account.id, failed_version=1)

    outcome = world.sign_in(world.read(account))

    assert outcome["outcome"] == "connected"
    assert world.read(account).problem is None
    assert world.access_tokens.fresh(account.id, failed_version=1).version == 2


def test_F23_a_throttle_that_looks_like_a_revocation_keeps_the_grant(world: World) -> None:
    account = world.connected("microsoft")
    world.control.inject("token", error="AADSTS50196", user=account.address)

    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id, failed_version=1)

    assert refused.value.diagnosis.class_ is DiagnosisClass.RETRY
    assert refused.value.diagnosis.retry_after == 3600
    assert grant_of(world, account).first_refused_at is None


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "body": "<html>"},
        {"status": 503},
        {"drop": "before"},
        {"status": 200, "body": "<html>"},
    ],
    ids=["500", "503", "dropped", "html"],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_F21_a_failing_provider_is_asked_once_and_later_again(
    world: World, provider: Literal["microsoft", "google"], fault: dict[str, Any]
) -> None:
    account = world.connected(provider)
    before = len(world.control.token_requests())
    world.control.inject("token", times=None, **fault)

    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id, failed_version=1)
    asked = len(world.control.token_requests()) - before
    world.control.clear_faults()
    world.later = 10 * SECOND
    token = world.access_tokens.fresh(account.id, failed_version=1)

    assert refused.value.diagnosis.class_ is DiagnosisClass.RETRY
    assert asked == 1
    assert token.version == 2
    assert world.read(account).problem is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_F22_a_limit_rests_the_whole_connector(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    connector = world.connector(provider)
    first, second = world.account(connector), world.account(connector)
    for account in (first, second):
        world.sign_in(account)
    world.control.inject("token", status=429, retry_after=60, client_id=connector.client_id)
    before = len(world.control.token_requests())

    for account in (first, second):
        with pytest.raises(Diagnosed):
            world.access_tokens.fresh(account.id, failed_version=1)
    asked = len(world.control.token_requests()) - before
    world.later = 70 * SECOND
    token = world.access_tokens.fresh(second.id, failed_version=1)

    assert asked == 1
    assert token.version == 2


def test_R9_a_failed_refresh_does_not_shorten_the_life_of_a_token(world: World) -> None:
    account = world.connected("google")
    world.control.inject("token", status=500, times=None)
    world.later = HOUR - 90 * SECOND

    token = world.access_tokens.fresh(account.id)

    assert token.version == 1


def test_a_wrong_secret_is_one_fact_and_ends_with_a_new_one(world: World) -> None:
    connector = world.connector("google")
    account = world.account(connector)
    world.sign_in(account)
    good = world.secrets.get(connector.id).reveal()
    world.credentials.save(connector.id, "another secret")

    with pytest.raises(Diagnosed) as doubted:
        world.access_tokens.fresh(account.id, failed_version=1)
    in_doubt = world.registry.connector(connector.id)
    world.later += MINUTE + SECOND
    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id, failed_version=1)
    broken = world.registry.connector(connector.id)
    world.credentials.save(connector.id, good)
    token = world.access_tokens.fresh(account.id, failed_version=1)

    assert doubted.value.diagnosis.class_ is DiagnosisClass.RETRY
    assert in_doubt.problem is None
    assert refused.value.diagnosis.class_ is DiagnosisClass.ADMIN
    assert broken.problem is not None
    assert world.read(account).grant_state is GrantState.ACTIVE
    assert token.version == 2
    assert world.registry.connector(connector.id).problem is None


def test_uh5_one_refusal_of_a_client_is_doubted_and_holds_no_mailbox(world: World) -> None:
    """The provider blinks once: a minute later the token comes, and the connector never had a problem."""
    account = world.connected("microsoft")
    connector = world.registry.connector(account.connector)
    world.control.inject("token", error="AADSTS7000215", client_id=connector.client_id)

    with pytest.raises(Diagnosed) as doubted:
        world.tokens.ensure(account.id, failed_version=1)
    assert doubted.value.diagnosis.retry_after == rules.CLIENT_DOUBT // SECOND
    assert status(world.read(account), world.registry.connector(connector.id)) is Status.CONNECTED
    world.later += MINUTE + SECOND
    world.tokens.ensure(account.id, failed_version=1)

    healed = world.registry.connector(connector.id)
    assert (healed.problem, healed.doubted_at, healed.retry_at) == (None, None, None)


def test_R15_an_idle_mailbox_is_kept_alive_and_no_more(world: World) -> None:
    account = world.connected("microsoft")
    grant = grant_of(world, account)
    due_at = grant.refresh_due_at or 0

    world.later = 30 * DAY
    world.tokens.refresh([account.id], until=until(world))
    too_early = world.refreshes(account)
    world.later = due_at + SECOND - clock.now()
    world.tokens.refresh_due(until=until(world))

    assert 40 * DAY < due_at - grant.refreshed_at < 50 * DAY
    assert too_early == 0
    assert world.refreshes(account) == 1
    assert grant_of(world, account).due_reason is DueReason.KEEP_ALIVE


def test_a_mailbox_in_use_is_refreshed_before_its_token_expires(world: World) -> None:
    account = world.connected("microsoft")
    world.access_tokens.fresh(account.id, failed_version=1)
    world.later = 55 * MINUTE
    world.used(account)

    world.tokens.refresh_due(until=until(world))

    grant = grant_of(world, account)
    assert world.refreshes(account) == 2
    assert grant.version == 3
    assert grant.due_reason is DueReason.EXPIRY


def test_a_mailbox_that_is_used_no_more_is_left_alone(world: World) -> None:
    account = world.connected("microsoft")
    world.access_tokens.fresh(account.id, failed_version=1)
    world.later = 55 * MINUTE

    world.tokens.refresh_due(until=until(world))

    grant = grant_of(world, account)
    assert world.refreshes(account) == 1
    assert grant.due_reason is DueReason.KEEP_ALIVE
    assert (grant.refresh_due_at or 0) > world.now() + 30 * DAY


@pytest.mark.parametrize(
    ("name", "value"),
    [("refresh_token", {"B": b"not sealed"}), ("due_reason", {"S": "of a later version"})],
    ids=["known trouble", "a mistake of ours"],
)
def test_R12_one_broken_account_keeps_no_other_from_being_refreshed(
    world: World, name: str, value: Any
) -> None:
    connector = world.connector("microsoft")
    accounts = [world.account(connector) for _ in range(3)]
    for account in accounts:
        world.sign_in(account)
    client = world.aws.clients.dynamodb
    client.update_item(
        TableName=world.settings.table("grants"),
        Key={"account": {"S": accounts[1].id}},
        UpdateExpression=f"SET {name} = :broken",
        ExpressionAttributeValues={":broken": value},
    )
    world.later = 60 * DAY

    left = world.tokens.refresh([account.id for account in accounts], until=until(world))

    assert left == []
    assert [world.grants_table.version(account.id) for account in accounts] == [2, 1, 2]


def test_what_does_not_fit_the_time_is_handed_back(world: World) -> None:
    account = world.connected("microsoft")
    world.later = 60 * DAY

    left = world.tokens.refresh([account.id], until=world.now() + SECOND)

    assert left == [account.id]
    assert world.refreshes(account) == 0


def test_F31_a_schedule_that_fires_twice_refreshes_once(world: World) -> None:
    account = world.connected("microsoft")
    world.later = 60 * DAY

    world.at_once(4, lambda: world.tokens.refresh([account.id], until=until(world)))

    assert world.refreshes(account) == 1


def test_F27_a_token_that_cannot_be_saved_is_rescued_and_saved_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("microsoft")

    def refused(*_: object, **__: object) -> bool:
        raise Unavailable("The table of grants did not answer.", fix="Try again.")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.grants_table), "save_refreshed", refused)
        patched.setattr("chalicelib.accounts.tokens.keeping.RESCUE_TIME", HOUR)
        with pytest.raises(Unavailable):
            world.tokens.ensure(account.id, failed_version=1)
    unsaved = grant_of(world, account)
    world.rescuing.drain(until=until(world))
    rescued = grant_of(world, account)
    world.later = MINUTE + SECOND
    token = world.access_tokens.fresh(account.id, failed_version=1)

    assert unsaved.version == 1
    assert rescued.version == 2
    assert rescued.refresh_token != unsaved.refresh_token
    assert token.version == 3
    assert world.rescue_queue.take() == []


def test_F28_without_keys_the_provider_is_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("microsoft")

    def refused(*_: object) -> object:
        raise Unavailable("The key service did not answer.", fix="Try again.")

    monkeypatch.setattr(type(world.grants_vault), "sealer", refused)
    with pytest.raises(Unavailable):
        world.tokens.ensure(account.id, failed_version=1)

    grant = grant_of(world, account)
    assert world.refreshes(account) == 0
    assert grant.lease_owner is None
    assert world.read(account).grant_state is GrantState.ACTIVE


def test_an_account_that_was_never_connected_needs_its_owner(world: World) -> None:
    account = world.account(world.connector("google"))

    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id)

    assert refused.value.diagnosis.class_ is DiagnosisClass.RECONNECT
