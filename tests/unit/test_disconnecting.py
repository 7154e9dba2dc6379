"""Disconnecting an account: what is revoked and deleted, and that nothing under way brings it back."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from chalicelib.accounts.models.account import GrantState, Revocation, Status, status
from chalicelib.accounts.models.grant import Grant
from chalicelib.accounts.tokens.keeping import Kept
from chalicelib.clock import HOUR, MINUTE
from chalicelib.errors import Diagnosed, NotFound, Unavailable, Unreadable
from chalicelib.ids import new_id
from chalicelib.mail.models import ClosedReason
from tests.unit.accounts_world import PUBLIC_URL, world

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from tests.unit.accounts_world import World

__all__ = ["world"]

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]


def stored(world: World, table: str, account: Account) -> dict[str, Any]:
    """What a table holds of the account, read past the product."""
    key: Any = {"account": {"S": account.id}}
    if table == "access-tokens":
        key["resource"] = {"S": "mail"}
    found = world.clients.dynamodb.get_item(TableName=world.settings.table(table), Key=key)
    return dict(found.get("Item", {}))


def lives(world: World, account: Account) -> list[bool]:
    """Whether each token that the provider has issued for the mailbox still counts."""
    return [token["inactive"] == "" for token in world.control.tokens() if token["user"] == account.address]


def grant_of(world: World, account: Account) -> Grant:
    """The stored grant."""
    found = world.grants_table.get(account.id)
    assert found is not None
    return found


def disconnect(world: World, account: Account) -> dict[str, Any]:
    """Disconnects it as the API does."""
    return world.functions.connect("disconnect", {"account_id": account.id, "by": "key_tests"})


def second_account(world: World, first: Account, connector: str) -> Account:
    """Another account of the same mailbox, connected by the same person."""
    account = world.registry.create_account(connector, first.address, f"second-{secrets.token_hex(4)}")
    assert world.sign_in(account)["outcome"] == "connected"
    return world.read(account)


def twin_connector(world: World, connector_id: str) -> Connector:
    """Another connector for the OAuth client of that one; both get a new secret."""
    first, secret = world.registry.connector(connector_id), secrets.token_urlsafe(24)
    twin = world.registry.new_connector(first.provider, "", first.client_id, first.tenant)
    redirect_uris = [f"{PUBLIC_URL}/oauth/callback/{connector.id}" for connector in (first, twin)]
    world.control.register_client(first.client_id, secret, redirect_uris, "google")
    for connector in (first, twin):
        world.credentials.save(connector.id, secret)
    return world.registry.add_connector(twin)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_O20_a_disconnected_account_has_no_ciphertext_left(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)

    disconnect(world, account)

    assert set(stored(world, "grants", account)) == {"account", "version", "ended_at"}
    assert stored(world, "access-tokens", account) == {}
    assert stored(world, "accounts", account)["grant_state"] == {"S": "none"}


def test_O20_the_consent_is_revoked_at_google(world: World) -> None:
    account = world.connected("google")
    assert all(lives(world, account))

    done = disconnect(world, account)

    assert done["revocation"] == "revoked"
    assert done["withdraw"] == []
    assert not any(lives(world, account))


def test_O20_microsoft_has_no_revocation_so_the_owner_is_told_where_to_withdraw(world: World) -> None:
    done = disconnect(world, world.connected("microsoft"))

    assert done["revocation"] == "unsupported"
    assert done["withdraw"] == ["https://myapps.microsoft.com", "https://account.live.com/consent/Manage"]


def test_the_account_keeps_when_and_by_whom_also_when_it_is_connected_again(world: World) -> None:
    account = world.connected("google")

    done = disconnect(world, account)
    ended = world.read(account)
    world.sign_in(account)

    assert status(ended, world.registry.connector(account.connector)) is Status.DISCONNECTED
    assert ended.disconnection is not None
    assert (ended.disconnection.by, ended.disconnection.at) == ("key_tests", done["disconnected_at"])
    assert world.read(account).disconnection == ended.disconnection


@pytest.mark.parametrize("is_twin", [False, True], ids=["one connector", "two of one client"])
def test_ub10_a_consent_that_another_account_lives_by_is_not_revoked(world: World, *, is_twin: bool) -> None:
    """Google ends all that one person gave to one client (Google, "Revoking a token")."""
    first = world.connected("google")
    connector = twin_connector(world, first.connector).id if is_twin else first.connector
    second = second_account(world, first, connector)

    first_end = disconnect(world, first)
    token = world.access_tokens.fresh(second.id, failed_version=1)
    second_end = disconnect(world, second)

    assert first_end["revocation"] == "shared"
    assert first_end["withdraw"] == ["https://myaccount.google.com/connections"]
    assert token.version == 2
    assert second_end["revocation"] == "revoked"
    assert not any(lives(world, first))


def test_the_same_person_at_another_client_is_another_consent(world: World) -> None:
    first = world.connected("google")
    other = second_account(world, first, world.connector("google").id)

    done = disconnect(world, first)

    assert world.read(other).grant_state is GrantState.ACTIVE
    assert done["revocation"] == "revoked"
    assert world.access_tokens.fresh(other.id, failed_version=1).version == 2


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"status": 503}], ids=repr)
def test_a_provider_that_is_down_keeps_nobody_from_disconnecting(world: World, fault: dict[str, Any]) -> None:
    account = world.connected("google")
    world.control.inject("revoke", **fault)

    done = disconnect(world, account)

    assert done["revocation"] == "failed"
    assert done["diagnosis"]["class"] == "retry"
    assert done["withdraw"] == ["https://myaccount.google.com/connections"]
    assert "refresh_token" not in stored(world, "grants", account)


def test_a_consent_that_was_withdrawn_before_counts_as_revoked(world: World) -> None:
    account = world.connected("google")
    world.control.revoke(account.address)

    assert disconnect(world, account)["revocation"] == "revoked"


def test_a_grant_that_does_not_open_is_deleted_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("google")

    def closed(_: Grant) -> Any:
        raise Unreadable("of another key")

    monkeypatch.setattr(world.keeper, "reveal", closed)

    assert disconnect(world, account)["revocation"] == "failed"
    assert "refresh_token" not in stored(world, "grants", account)


def test_disconnecting_twice_keeps_the_first_record(world: World) -> None:
    account = world.connected("google")
    first = disconnect(world, account)
    known = world.read(account)
    world.later = MINUTE

    again = world.disconnecting.disconnect(account.id, by="key_other")

    assert again == first
    assert first["revocation"] == "revoked"
    assert world.read(account) == known
    assert world.grants_table.version(account.id) == 3  # what waits to be rescued must not come back


def test_two_who_disconnect_at_once_leave_the_record_of_who_was_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("google")
    end = world.grants_table.end

    def overtaken(*arguments: Any) -> bool:
        monkeypatch.setattr(world.grants_table, "end", end)
        world.disconnecting.disconnect(account.id, by="key_first")
        return end(*arguments)

    monkeypatch.setattr(world.grants_table, "end", overtaken)
    done = disconnect(world, account)

    kept = world.read(account).disconnection
    assert kept is not None
    assert (kept.by, str(kept.revocation)) == ("key_first", "revoked")
    assert (done["disconnected_at"], done["revocation"]) == (kept.at, "revoked")


def test_an_account_that_was_connected_anew_is_disconnected_anew(world: World) -> None:
    account = world.connected("google")
    disconnect(world, account)
    world.sign_in(account)
    world.later = MINUTE

    done = world.disconnecting.disconnect(account.id, by="key_second")

    kept = world.read(account).disconnection
    assert kept is not None
    assert (kept.by, kept.at) == ("key_second", done["disconnected_at"])
    assert done["revocation"] == "revoked"


def test_where_nobody_has_consented_there_is_nothing_to_revoke(world: World) -> None:
    account = world.account(world.connector("google"))

    assert disconnect(world, account)["revocation"] == "nothing"
    with pytest.raises(NotFound):
        world.functions.connect("disconnect", {"account_id": new_id("acc"), "by": "key_tests"})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_disconnected_account_is_connected_again_by_a_new_sign_in(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    account = world.connected(provider)
    disconnect(world, account)
    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id)

    outcome = world.sign_in(account)

    assert refused.value.diagnosis.code == "account_disconnected"
    assert outcome["outcome"] == "connected"
    assert world.access_tokens.fresh(account.id).version == grant_of(world, account).version == 3


# Against what is under way


@pytest.mark.parametrize("provider", PROVIDERS)
def test_R4_a_refresh_under_way_does_not_bring_a_disconnected_grant_back(
    world: World, provider: Literal["microsoft", "google"], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected(provider)
    refresh = world.providers.usual(provider).refresh

    def overtaken(*arguments: Any) -> Any:
        answer = refresh(*arguments)
        disconnect(world, account)
        return answer

    monkeypatch.setattr(world.providers.usual(provider), "refresh", overtaken)
    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id, failed_version=1)

    assert refused.value.diagnosis.code == "account_disconnected"
    assert set(stored(world, "grants", account)) == {"account", "version", "ended_at"}
    assert stored(world, "access-tokens", account) == {}
    assert world.rescue_queue.take() == []
    assert world.read(account).grant_state is GrantState.NONE


def test_a_refusal_under_way_does_not_bring_a_disconnected_grant_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("google")
    refresh = world.providers.usual("google").refresh

    def overtaken(*arguments: Any) -> Any:
        disconnect(world, account)  # so that Google refuses the token
        return refresh(*arguments)

    monkeypatch.setattr(world.providers.usual("google"), "refresh", overtaken)
    with pytest.raises(Diagnosed) as refused:
        world.access_tokens.fresh(account.id, failed_version=1)

    assert refused.value.diagnosis.code == "account_disconnected"
    assert world.read(account).grant_state is GrantState.NONE
    assert world.read(account).problem is None


def test_a_refreshed_token_that_was_rescued_is_dropped_once_its_account_is_disconnected(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("microsoft")

    def rescued(grant: Grant, _: object, *, until: int) -> Kept:
        world.keeper.rescue(grant, until=until)
        return Kept.RESCUED

    monkeypatch.setattr(world.keeper, "keep", rescued)
    with pytest.raises(Unavailable):
        world.access_tokens.fresh(account.id, failed_version=1)
    disconnect(world, account)

    world.rescuing.drain(until=world.now() + MINUTE)

    assert "refresh_token" not in stored(world, "grants", account)
    assert world.rescue_queue.take() == []
    assert "a rescued grant was dropped: disconnected" in caplog.messages


def test_a_token_from_before_is_not_tried_in_the_place_of_a_refused_one(world: World) -> None:
    account = world.connected("microsoft")
    before = grant_of(world, account)
    token = world.keeper.reveal(before)
    disconnect(world, account)
    world.later = MINUTE
    world.sign_in(account)
    world.control.revoke(account.address)
    with pytest.raises(Diagnosed):
        world.access_tokens.fresh(account.id, failed_version=3)
    sealed = world.keeper.prepare(account.id).refresh_token(token, 2)

    world.keeper.rescue(replace(before, version=2, refresh_token=sealed), until=world.now())
    world.rescuing.drain(until=world.now() + MINUTE)

    assert grant_of(world, account).version == 3


def test_a_sign_in_that_is_rescued_after_a_disconnect_counts(world: World) -> None:
    account = world.connected("microsoft")
    before = grant_of(world, account)
    token = world.keeper.reveal(before)
    disconnect(world, account)
    sealed = world.keeper.prepare(account.id).refresh_token(token, 3)

    world.keeper.rescue(replace(before, version=3, refresh_token=sealed), until=world.now())
    world.rescuing.drain(until=world.now() + MINUTE)

    assert grant_of(world, account).version == 3
    assert world.read(account).grant_state is GrantState.ACTIVE


def test_a_refresh_that_ends_first_is_ended_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("microsoft")
    reveal = world.keeper.reveal
    refreshed: list[int] = []

    def overtaken(grant: Grant) -> Any:
        if not refreshed:
            refreshed.append(grant.version)
            world.access_tokens.fresh(account.id, failed_version=1)
        return reveal(grant)

    monkeypatch.setattr(world.keeper, "reveal", overtaken)
    disconnect(world, account)

    assert stored(world, "grants", account)["version"] == {"N": "3"}
    assert stored(world, "access-tokens", account) == {}


def test_nobody_is_told_to_reconnect_what_was_disconnected(world: World) -> None:
    account = world.connected("google")
    world.control.revoke(account.address)
    for later in (0, HOUR):
        world.later = later
        with pytest.raises(Diagnosed):
            world.access_tokens.fresh(account.id, failed_version=1)
    assert world.read(account).grant_state is GrantState.NEEDS_RECONNECT
    disconnect(world, account)

    left = world.tokens.refresh([account.id], until=world.now() + HOUR)

    assert left == []
    assert stored(world, "grants", account).keys() == {"account", "version", "ended_at"}


# The lane


def test_waiting_mail_is_held_and_goes_on_after_a_reconnect(world: World) -> None:
    account = world.connected("google")
    world.lanes_table.ring(account.id, due_at=world.now())

    disconnect(world, account)
    held = world.lane.state(account.id)
    world.sign_in(account)

    assert held.closed is ClosedReason.DISCONNECTED
    assert (held.next_due_at or 0) <= world.now()  # so that somebody finds out when its mail expires
    assert world.lane.state(account.id).closed is None


def test_a_reconnect_at_the_same_moment_leaves_a_lane_that_the_next_look_opens(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("google")
    world.lanes_table.ring(account.id, due_at=world.now())
    close = world.lane.close

    def overtaken(*arguments: Any) -> None:
        world.sign_in(account)
        close(*arguments)

    monkeypatch.setattr(world.lane, "close", overtaken)
    disconnect(world, account)
    held = world.lane.state(account.id)
    world.relay.run(account.id, until=world.now() + MINUTE)

    assert world.read(account).grant_state is GrantState.ACTIVE
    assert (held.next_due_at or 0) <= world.now()  # so that somebody looks
    assert world.lane.state(account.id).closed is None


def test_a_lane_that_cannot_be_held_keeps_nobody_from_disconnecting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("google")

    def broken(*_: object) -> None:
        raise Unavailable("The table of lanes did not answer.", fix="Wait.")

    monkeypatch.setattr(world.lane, "close", broken)

    assert disconnect(world, account)["revocation"] == Revocation.REVOKED
