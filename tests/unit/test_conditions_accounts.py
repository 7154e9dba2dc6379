"""What each condition of a write on the accounts' side forbids; tests/conditions takes it away."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import ids
from chalicelib.accounts.connecting.consent import Signed
from chalicelib.accounts.models.account import UNDO, Account, AuthMode, Disconnection, GrantState, Revocation
from chalicelib.accounts.models.authorization import Authorization, ConnectLink, Visit
from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import DueReason, Grant, Identity, Previous, SealedToken
from chalicelib.aws.failures import ConditionFailed
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import NotFound
from chalicelib.wiring import Gateway

if TYPE_CHECKING:
    from tests.unit.aws_tables import Aws

pytestmark = pytest.mark.aws

NOW = 1_800_000_000_000
LATER = NOW + 60_000
PROBLEM = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "It ended.", "Connect again.")


@pytest.fixture
def stores(aws: Aws) -> Gateway:
    """The application's tables."""
    stores = Gateway(aws.settings)
    stores.__dict__["clients"] = aws.clients
    return stores


def new_account(stores: Gateway) -> Account:
    """An account that is stored."""
    name = f"ada-{secrets.token_hex(4)}@mail.example"
    account = Account(ids.new_id("acc"), name, name, ids.new_id("con"), NOW)
    assert stores.accounts_table.add(account)
    return account


def first_grant(account: str) -> Grant:
    """The grant of a first consent."""
    identity = Identity("https://issuer.example", "subject", ("ada@mail.example",))
    return Grant(account, 1, b"sealed 1", ("send",), identity, NOW, NOW)


def token_of(grant: Grant) -> SealedToken:
    """The access token that came with that version."""
    return SealedToken(grant.account, b"sealed access token", grant.version, LATER, NOW)


def newer(grant: Grant) -> Grant:
    """The version after it."""
    return replace(grant, version=grant.version + 1, refresh_token=f"sealed {grant.version + 1}".encode())


def new_link(stores: Gateway, account: str) -> ConnectLink:
    """A connect link that is stored."""
    link = ConnectLink(ids.new_id("link"), account, "tests", NOW, LATER)
    stores.authorizations_table.add_link(link)
    return link


def new_authorization(stores: Gateway, account: str, link: str) -> Authorization:
    """A sign-in that waits for its callback, stored."""
    identifier = ids.authorization_id(secrets.token_hex(16))
    authorization = Authorization(identifier, account, "con", link, "hash", "uri", NOW, LATER, b"sealed flow")
    stores.authorizations_table.add(authorization)
    return authorization


def nobody() -> str:
    """The id of no sign-in."""
    return ids.authorization_id(secrets.token_hex(16))


def connect(stores: Gateway, grant: Grant, token: SealedToken | None = None) -> bool:
    """Saves a consent as its callback does."""
    link = new_link(stores, grant.account)
    authorization = new_authorization(stores, grant.account, link.id)
    signed = Signed(authorization, {"outcome": "x"})
    return stores.grants_table.save_connected(grant, token or token_of(grant), {}, signed)


def connected(stores: Gateway, *, lease: str | None = None) -> Grant:
    """The stored grant of a new account, leased to an owner if one is named."""
    grant = first_grant(new_account(stores).id)
    assert connect(stores, grant)
    if lease:
        assert stores.grants_table.lease(grant, owner=lease, now=NOW, until=LATER)
    return grant


# Accounts


def test_an_account_of_the_same_id_is_not_replaced(stores: Gateway) -> None:
    account = new_account(stores)

    assert not stores.accounts_table.add(replace(account, name=f"other {account.name}", connector="other"))
    assert stores.accounts_table.get(account.id) == account


def test_a_name_that_is_taken_stays_with_its_account(stores: Gateway) -> None:
    account = new_account(stores)

    assert not stores.accounts_table.add(replace(account, id=ids.new_id("acc")))
    assert stores.accounts_table.named(account.name) == account.id


def renamed(stores: Gateway, account: Account, name: str, *, now: int = NOW) -> bool:
    """Gives the account as it was read another name."""
    return stores.accounts_table.describe(account, replace(account, name=name), now=now)


def test_an_account_that_was_renamed_meanwhile_is_not_renamed(stores: Gateway) -> None:
    account = new_account(stores)
    assert renamed(stores, account, f"first {account.name}")

    assert not renamed(stores, account, f"second {account.name}")
    assert stores.accounts_table.named(f"first {account.name}") == account.id


def test_no_account_is_given_a_name_that_is_taken(stores: Gateway) -> None:
    account, other = new_account(stores), new_account(stores)

    assert not renamed(stores, account, other.name)
    assert stores.accounts_table.named(other.name) == other.id


def test_a_pause_is_not_replaced(stores: Gateway) -> None:
    account = new_account(stores).id

    assert stores.accounts_table.pause(account, by="first", at=NOW, reason="")
    assert not stores.accounts_table.pause(account, by="second", at=NOW, reason="")
    assert not stores.accounts_table.pause(ids.new_id("acc"), by="first", at=NOW, reason="")


def test_a_user_name_that_changed_meanwhile_stays(stores: Gateway) -> None:
    account = new_account(stores)
    switched = replace(account, auth_mode=AuthMode.PASSWORD)

    assert stores.accounts_table.found_user(account, "first@mail.example")
    assert not stores.accounts_table.found_user(account, "second@mail.example")
    known = replace(account, smtp_user="first@mail.example")
    assert not stores.accounts_table.found_user(
        replace(switched, smtp_user=known.smtp_user), "third@x.example"
    )
    assert stores.accounts_table.delete(known, by="key", at=NOW)
    assert not stores.accounts_table.found_user(known, "fourth@mail.example")
    assert not stores.accounts_table.found_user(replace(known, id=ids.new_id("acc")), "a@mail.example")
    assert stores.accounts_table.get(account.id) == replace(known, deleted_by="key", deleted_at=NOW)


def test_what_is_not_paused_is_not_resumed(stores: Gateway) -> None:
    nobody = ids.new_id("acc")

    assert not stores.accounts_table.resume(nobody)
    assert stores.accounts_table.get(nobody) is None


def test_an_account_that_was_connected_meanwhile_is_not_deleted(stores: Gateway) -> None:
    account = new_account(stores)
    assert connect(stores, first_grant(account.id))

    assert not stores.accounts_table.delete(account, by="tests", at=NOW)


def test_a_deletion_is_not_taken_back_too_late(stores: Gateway) -> None:
    account = new_account(stores)
    assert stores.accounts_table.delete(account, by="tests", at=NOW)

    assert not stores.accounts_table.restore(account, now=NOW + UNDO)
    assert stores.accounts_table.restore(account, now=NOW + UNDO - 1_000)


def test_a_sign_in_is_not_saved_for_a_deleted_account(stores: Gateway) -> None:
    account = new_account(stores)
    assert stores.accounts_table.delete(account, by="tests", at=NOW)

    assert not connect(stores, first_grant(account.id))
    assert stores.grants_table.version(account.id) == 0


def test_no_block_is_written_for_an_account_that_does_not_exist(stores: Gateway) -> None:
    with pytest.raises(NotFound):
        stores.accounts_table.set_transport_block(ids.new_id("acc"), PROBLEM)


# Connectors


def new_connector(stores: Gateway) -> Connector:
    """A connector that is stored."""
    connector = Connector(ids.new_id("con"), "google", "g", "client", "", NOW)
    stores.connectors_table.add(connector)
    return connector


def test_a_connector_is_not_replaced(stores: Gateway) -> None:
    connector = new_connector(stores)

    with pytest.raises(ConditionFailed):
        stores.connectors_table.add(replace(connector, client_id="another"))
    assert stores.connectors_table.get(connector.id) == connector


def test_no_secret_is_noted_of_a_connector_that_does_not_exist(stores: Gateway) -> None:
    assert not stores.connectors_table.secret_saved(ids.new_id("con"), NOW)


def test_a_connector_whose_client_changed_meanwhile_stays(stores: Gateway) -> None:
    connector = new_connector(stores)
    table = stores.connectors_table
    assert table.describe(connector, replace(connector, name="first", client_id="other"))

    assert not table.describe(connector, replace(connector, name="second", client_id="third"))
    assert getattr(table.get(connector.id), "name", "") == "first"


@pytest.mark.parametrize("first", [{"name": "first"}, {"facts": {"scopes": ["first"]}}], ids=repr)
def test_of_two_changes_of_one_connector_neither_is_lost(stores: Gateway, first: dict[str, Any]) -> None:
    connector = new_connector(stores)
    table = stores.connectors_table
    assert table.describe(connector, replace(connector, **first))
    changed = table.get(connector.id)
    assert changed is not None

    assert not table.describe(connector, replace(connector, facts={"scopes": ["second"]}))
    assert table.get(connector.id) == changed
    assert table.describe(changed, replace(changed, facts={"scopes": ["second"]}))


def test_a_connector_from_before_facts_can_be_changed(stores: Gateway) -> None:
    connector = new_connector(stores)
    stores.clients.dynamodb.update_item(
        TableName=stores.settings.table("connectors"),
        Key={"connector": {"S": connector.id}},
        UpdateExpression="REMOVE facts",
    )

    assert stores.connectors_table.describe(connector, replace(connector, facts={"scopes": ["send"]}))


def test_a_connector_that_does_not_exist_is_not_deleted(stores: Gateway) -> None:
    connector = new_connector(stores)

    assert stores.connectors_table.delete(connector.id)
    assert not stores.connectors_table.delete(connector.id)


def test_no_refusal_is_noted_of_a_connector_that_does_not_exist(stores: Gateway) -> None:
    nobody = ids.new_id("con")
    stores.connectors_table.refused(nobody, PROBLEM, LATER)

    assert not row(stores, "connectors", connector=nobody)


def test_no_doubt_is_noted_of_a_connector_that_does_not_exist(stores: Gateway) -> None:
    nobody = ids.new_id("con")
    stores.connectors_table.doubt(nobody, at=LATER, retry_at=LATER)

    assert not row(stores, "connectors", connector=nobody)


def test_no_rest_is_noted_of_a_connector_that_does_not_exist(stores: Gateway) -> None:
    nobody = ids.new_id("con")
    stores.connectors_table.rest(nobody, LATER)

    assert not row(stores, "connectors", connector=nobody)


def test_no_success_is_noted_of_a_connector_that_does_not_exist(stores: Gateway) -> None:
    nobody = ids.new_id("con")
    stores.connectors_table.works(nobody)

    assert not row(stores, "connectors", connector=nobody)


def row(stores: Gateway, noun: str, **key: str) -> object:
    """The stored row as DynamoDB has it."""
    found = stores.clients.dynamodb.get_item(
        TableName=stores.settings.table(noun),
        Key={name: {"S": value} for name, value in key.items()},
        ConsistentRead=True,
    )
    return found.get("Item")


# Sign-ins


def test_a_connect_link_is_not_replaced(stores: Gateway) -> None:
    link = new_link(stores, "acc")

    with pytest.raises(ConditionFailed):
        stores.authorizations_table.add_link(replace(link, account="another"))


def test_a_connect_link_is_not_started_oftener_than_its_limit(stores: Gateway) -> None:
    link = new_link(stores, "acc")

    assert [stores.authorizations_table.start(link.id, now=NOW, limit=1) for _ in range(2)] == [True, False]


def test_no_more_is_counted_in_a_window_than_its_limit(stores: Gateway) -> None:
    what, count = f"visits#{ids.new_id('acc')}", stores.authorizations_table.count

    assert [count(what, ends_at=NOW, limit=1) for _ in range(2)] == [True, False]
    assert count(what, ends_at=NOW + 1, limit=1)


def test_a_state_is_not_replaced(stores: Gateway) -> None:
    authorization = new_authorization(stores, "acc", "link")

    with pytest.raises(ConditionFailed):
        stores.authorizations_table.add(replace(authorization, cookie_hash="another"))


def test_a_state_is_consumed_once(stores: Gateway) -> None:
    authorization = new_authorization(stores, "acc", "link")

    first, second = (stores.authorizations_table.consume(authorization.id, now=NOW) for _ in range(2))
    assert first is not None
    assert second is None


def test_a_visit_is_not_replaced(stores: Gateway) -> None:
    visit = Visit(secrets.token_hex(16), "acc", NOW, LATER)
    stores.authorizations_table.add_visit(visit)

    with pytest.raises(ConditionFailed):
        stores.authorizations_table.add_visit(replace(visit, account="another"))


def test_no_outcome_is_noted_of_a_state_that_does_not_exist(stores: Gateway) -> None:
    with pytest.raises(ConditionFailed):
        stores.authorizations_table.conclude(nobody(), {"outcome": "connected"})


# Grants


def test_a_lease_that_lives_is_not_taken(stores: Gateway) -> None:
    grant = connected(stores, lease="first")

    assert not stores.grants_table.lease(grant, owner="second", now=NOW, until=LATER)


def test_a_lease_is_given_back_by_its_owner_only(stores: Gateway) -> None:
    grant = connected(stores, lease="first")
    stores.grants_table.release(grant, owner="second")

    found = stores.grants_table.get(grant.account)
    assert found is not None
    assert found.lease_owner == "first"


def test_a_refreshed_grant_is_saved_by_the_lease_owner_only(stores: Gateway) -> None:
    grant = connected(stores, lease="first")
    second = newer(grant)

    assert not stores.grants_table.save_refreshed(second, token_of(second), owner="second")
    assert stores.grants_table.save_refreshed(second, token_of(second), owner="first")


def test_an_access_token_never_replaces_a_newer_one(stores: Gateway) -> None:
    grant = connected(stores, lease="first")
    stale = replace(token_of(grant), version=grant.version)

    assert not stores.grants_table.save_refreshed(newer(grant), stale, owner="first")


def test_nothing_is_refreshed_without_its_account(stores: Gateway) -> None:
    grant = orphaned(stores)

    assert not stores.grants_table.save_refreshed(newer(grant), token_of(newer(grant)), owner="first")


def orphaned(stores: Gateway) -> Grant:
    """A stored grant, leased to "first", whose account is gone."""
    grant = connected(stores, lease="first")
    stores.clients.dynamodb.delete_item(
        TableName=stores.settings.table("accounts"), Key={"account": {"S": grant.account}}
    )
    return grant


def test_a_grant_is_held_by_the_lease_owner_only(stores: Gateway) -> None:
    grant = connected(stores, lease="first")

    assert not stores.grants_table.save_held(newer(grant), PROBLEM, owner="second")


def test_nothing_is_held_without_its_account(stores: Gateway) -> None:
    grant = orphaned(stores)

    assert not stores.grants_table.save_held(newer(grant), PROBLEM, owner="first")


def test_a_consent_replaces_the_version_that_was_read_and_no_other(stores: Gateway) -> None:
    grant = connected(stores)
    late = replace(grant, version=grant.version + 2)

    assert not connect(stores, late)
    assert stores.grants_table.get(grant.account) == grant


def test_a_consent_keeps_nothing_that_was_rewrapped_since_it_was_read(stores: Gateway) -> None:
    """Neither what the grant itself was, nor what it kept already."""
    grant = connected(stores)
    second = replace(newer(grant), previous=previous_of(grant))
    third = replace(newer(second), previous=second.previous)

    assert stores.grants_table.save_rewrapped(grant, replace(grant, refresh_token=b"rewrapped"))
    assert not connect(stores, second)
    assert stores.grants_table.save_rewrapped(replace(grant, refresh_token=b"rewrapped"), grant)
    assert connect(stores, second)

    anew = replace(previous_of(grant), refresh_token=b"rewrapped")
    assert stores.grants_table.save_rewrapped(second, replace(second, previous=anew))
    assert not connect(stores, third)
    assert connect(stores, replace(third, previous=anew))


def previous_of(grant: Grant) -> Previous:
    """What a grant leaves behind when another auth mode takes its place."""
    kept = (grant.version, grant.refresh_token, grant.scopes, grant.identity)
    return Previous(AuthMode.AUTHORIZATION_CODE, "ada", *kept, until=NOW + UNDO)


def test_a_refresh_leaves_what_is_kept_as_it_is_stored(stores: Gateway) -> None:
    """It has read it, and somebody may have wrapped it anew since."""
    grant = connected(stores)
    kept = replace(newer(grant), previous=previous_of(grant))
    assert connect(stores, kept)
    assert stores.grants_table.lease(kept, owner="first", now=NOW, until=LATER)
    anew = replace(previous_of(grant), refresh_token=b"rewrapped")
    assert stores.grants_table.save_rewrapped(kept, replace(kept, previous=anew))

    assert stores.grants_table.save_refreshed(newer(kept), token_of(newer(kept)), owner="first")
    refreshed = stores.grants_table.get(grant.account)
    assert refreshed is not None
    assert refreshed.previous == anew


def test_a_grant_that_was_rewrapped_since_is_not_written_over(stores: Gateway) -> None:
    grant = connected(stores)
    first = replace(grant, refresh_token=b"rewrapped first")

    assert stores.grants_table.save_rewrapped(grant, first)
    assert not stores.grants_table.save_rewrapped(grant, replace(grant, refresh_token=b"too late"))
    assert stores.grants_table.get(grant.account) == first


def test_an_access_token_that_was_rewrapped_since_is_not_written_over(stores: Gateway) -> None:
    token = token_of(connected(stores))
    first = replace(token, token=b"rewrapped first")

    assert stores.access_tokens_table.save_rewrapped(token, first)
    assert not stores.access_tokens_table.save_rewrapped(token, replace(token, token=b"too late"))
    assert stores.access_tokens_table.get(token.account) == first


def test_a_consent_brings_no_older_access_token(stores: Gateway) -> None:
    grant = connected(stores)

    assert not connect(stores, newer(grant), token_of(grant))


def test_a_consent_needs_its_account(stores: Gateway) -> None:
    assert not connect(stores, first_grant(ids.new_id("acc")))


def test_uh4_a_problem_is_not_noted_where_it_was_connected_meanwhile(stores: Gateway) -> None:
    account = connected(stores).account

    stores.accounts_table.note_problem(account, PROBLEM)

    found = stores.accounts_table.get(account)
    assert found is not None
    assert found.problem is None


def test_a_consent_needs_its_sign_in(stores: Gateway) -> None:
    grant = first_grant(new_account(stores).id)
    link = new_link(stores, grant.account)

    signed = Signed(replace(new_authorization(stores, grant.account, link.id), id=nobody()), {})

    assert not stores.grants_table.save_connected(grant, token_of(grant), {}, signed)


def test_a_rescued_grant_replaces_the_version_before_it_and_no_other(stores: Gateway) -> None:
    grant = connected(stores)

    assert not stores.grants_table.save_rescued(replace(grant, version=grant.version + 2))
    assert stores.grants_table.get(grant.account) == grant


def test_nothing_is_rescued_without_its_account(stores: Gateway) -> None:
    assert not stores.grants_table.save_rescued(newer(orphaned(stores)))


def test_a_refusal_is_noted_by_the_lease_owner_only(stores: Gateway) -> None:
    grant = connected(stores, lease="first")
    doubted = replace(grant, first_refused_at=NOW)

    assert not stores.grants_table.save_refused(doubted, PROBLEM, GrantState.ACTIVE, owner="second")


def test_no_refusal_is_noted_without_its_account(stores: Gateway) -> None:
    grant = orphaned(stores)

    assert not stores.grants_table.save_refused(grant, PROBLEM, GrantState.ACTIVE, owner="first")


ENDED = Disconnection(NOW, "tests", Revocation.REVOKED)


def test_the_version_that_was_read_is_ended_and_no_other(stores: Gateway) -> None:
    grant = connected(stores)

    assert not stores.grants_table.end(grant.account, 0, ENDED)
    assert stores.grants_table.get(grant.account) == grant
    assert stores.grants_table.end(grant.account, 1, ENDED)
    assert (stores.grants_table.get(grant.account), stores.grants_table.version(grant.account)) == (None, 2)


def test_nothing_is_ended_without_its_account(stores: Gateway) -> None:
    nobody = ids.new_id("acc")

    assert not stores.grants_table.end(nobody, 0, ENDED)
    assert stores.grants_table.version(nobody) == 0


def test_a_grant_that_changed_is_not_put_off(stores: Gateway) -> None:
    old = connected(stores, lease="first")
    assert stores.grants_table.save_refreshed(newer(old), token_of(newer(old)), owner="first")

    stores.grants_table.reschedule(old, LATER, DueReason.KEEP_ALIVE)

    found = stores.grants_table.get(old.account)
    assert found is not None
    assert found.refresh_due_at is None


def test_the_owner_counts_as_told_by_the_lease_owner_only(stores: Gateway) -> None:
    grant = connected(stores, lease="first")
    stores.grants_table.reschedule(grant, NOW, DueReason.TELL_OWNER)

    stores.grants_table.told(grant, owner="second")

    found = stores.grants_table.get(grant.account)
    assert found is not None
    assert (found.refresh_due_at, found.lease_owner) == (NOW, "first")
