"""A mailbox owner proves to be one, without giving any permission; against the sandbox's provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib import ids
from chalicelib.accounts.connecting.limits import OF_ACCOUNT, WINDOW
from chalicelib.accounts.connecting.visits import LENGTH, is_owner
from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.grant import Identity
from chalicelib.clock import MINUTE, SECOND
from chalicelib.errors import Forbidden, NotFound, RateLimited
from tests.unit.accounts_world import PUBLIC_URL, world

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]

PROVIDERS: list[Literal["microsoft", "google"]] = ["microsoft", "google"]


def begin(world: World, account: str) -> tuple[str, str]:
    """Begins a visit through the function, as the page does: the provider's address and the cookie."""
    begun = world.functions.connect("begin_visit", {"account_id": account, "cookie": None})
    return begun["authorize_url"], begun["cookie"]


def visit(world: World, account: Account, mailbox: str | None = None, **answer: Any) -> dict[str, Any]:
    """A whole sign-in of a visitor; what the function answers."""
    url, cookie = begin(world, account.id)
    params = world.approve(url, mailbox or account.address, **answer)
    payload = {"connector_id": account.connector, "params": params, "cookie": cookie}
    return world.functions.connect("complete", payload)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_owner_is_let_in(world: World, provider: Literal["microsoft", "google"]) -> None:
    account = world.connected(provider)

    answered = visit(world, account)

    assert answered["outcome"] == "visited"
    assert world.visits.ends_at(answered["visit"], account)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_visitor_is_asked_for_no_permission(world: World, provider: Literal["microsoft", "google"]) -> None:
    """Neither for mail nor for lasting access; and the provider is not told whose mailbox it is."""
    account = world.connected(provider)

    asked = {name: value[0] for name, value in parse_qs(urlsplit(begin(world, account.id)[0]).query).items()}

    assert "openid" in asked["scope"].split()
    assert set(asked["scope"].split()) <= {"openid", "profile"}
    assert asked.get("access_type", "online") == "online"
    assert "login_hint" not in asked
    assert asked["redirect_uri"] == f"{PUBLIC_URL}/oauth/callback/{account.connector}"
    assert asked["code_challenge_method"] == "S256"
    assert asked["nonce"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_visit_changes_nothing(world: World, provider: Literal["microsoft", "google"]) -> None:
    """The grant is the same row, and still refreshes."""
    account = world.connected(provider)
    before = world.grants_table.get(account.id)

    visit(world, account)

    assert world.grants_table.get(account.id) == before
    assert world.read(account) == account
    world.tokens.ensure(account.id, failed_version=1, until=world.now() + MINUTE)
    assert world.access_tokens.fresh(account.id).version == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_somebody_else_learns_nothing_of_the_account(
    world: World, provider: Literal["microsoft", "google"]
) -> None:
    """Neither from the answer nor from the page of its result, not even in the browser that signed in."""
    account = world.connected(provider)
    other = world.account(world.registry.connector(account.connector))
    url, cookie = begin(world, account.id)

    params = world.approve(url, other.address)
    answered = world.connect.complete(account.connector, params, cookie)
    shown = world.registry.outcome(answered["authorization"], cookie)

    assert answered["outcome"] == shown["outcome"] == "not_owner"
    assert "visit" not in answered
    for told in (answered, shown):
        assert set(told) == {"outcome", "account", "authorization"}


def test_who_refuses_to_sign_in_learns_nothing_either(world: World) -> None:
    account = world.connected("google")
    url, cookie = begin(world, account.id)
    state = parse_qs(urlsplit(url).query)["state"]

    answered = world.connect.complete(account.connector, {"state": state, "error": ["access_denied"]}, cookie)

    assert answered["outcome"] == "visit_refused"
    assert account.address not in str(answered)


def test_an_unknown_account_and_one_that_is_not_connected_answer_alike(world: World) -> None:
    """Nobody finds out which accounts there are, nor by names."""
    account = world.account(world.connector("google"))
    answers = []
    for asked in (account.id, ids.new_id("acc"), account.name, account.address, ""):
        with pytest.raises(NotFound) as refused:
            begin(world, asked)
        answers.append(refused.value.to_json())

    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["error"]["code"] == "nothing_connected"


def test_an_owner_whose_grant_has_ended_may_still_look(world: World) -> None:
    account = world.connected("google")
    world.clients.dynamodb.update_item(
        TableName=world.settings.table("accounts"),
        Key={"account": {"S": account.id}},
        UpdateExpression="SET grant_state = :ended",
        ExpressionAttributeValues={":ended": {"S": GrantState.NEEDS_RECONNECT}},
    )

    assert visit(world, account)["outcome"] == "visited"


def test_O21_anybody_can_begin_a_visit_but_not_without_end(world: World) -> None:
    account, other = world.connected("google"), world.connected("google")
    world.later = WINDOW - world.now() % WINDOW
    for _ in range(OF_ACCOUNT):
        begin(world, account.id)

    with pytest.raises(RateLimited) as refused:
        begin(world, account.id)
    begin(world, other.id)
    world.later += WINDOW

    assert refused.value.error_code == "too_many_visits"
    assert 0 < refused.value.retry_after <= WINDOW // SECOND
    assert visit(world, account)["outcome"] == "visited"


def test_nobody_is_asked_to_sign_in_where_nobody_has_consented(world: World) -> None:
    account = world.connected("google")
    world.clients.dynamodb.update_item(
        TableName=world.settings.table("accounts"),
        Key={"account": {"S": account.id}},
        UpdateExpression="SET auth_mode = :mode",
        ExpressionAttributeValues={":mode": {"S": AuthMode.SERVICE_ACCOUNT}},
    )

    with pytest.raises(NotFound) as refused:
        begin(world, account.id)

    assert refused.value.error_code == "nothing_connected"


def test_another_browser_cannot_complete_a_visit(world: World) -> None:
    account = world.connected("google")
    url, _ = begin(world, account.id)
    params = world.approve(url, account.address)

    with pytest.raises(Forbidden):
        world.connect.complete(account.connector, params, "another")


def test_a_visit_is_over_after_a_quarter_of_an_hour(world: World) -> None:
    account = world.connected("google")
    token = visit(world, account)["visit"]

    world.later = LENGTH - MINUTE
    still = world.visits.ends_at(token, account)
    world.later = LENGTH + 1

    assert still
    assert not world.visits.ends_at(token, account)


def test_a_visit_is_to_one_account(world: World) -> None:
    account, other = world.connected("google"), world.connected("google")
    token = visit(world, account)["visit"]

    assert not world.visits.ends_at(token, other)
    assert not world.visits.ends_at("x" * 43, account)


def test_a_visit_is_over_when_the_account_is_connected_anew(world: World) -> None:
    """It may have been somebody else who connected it."""
    account = world.connected("google")
    token = visit(world, account)["visit"]
    world.later = MINUTE

    world.sign_in(account)

    assert not world.visits.ends_at(token, world.read(account))


def test_only_a_hash_of_the_visit_is_stored(world: World) -> None:
    account = world.connected("google")

    token = visit(world, account)["visit"]

    rows = world.clients.dynamodb.scan(TableName=world.settings.table("authorizations"))["Items"]
    assert any(row["authorization"]["S"] == f"visit#{ids.digest(token)}" and "ttl" in row for row in rows)
    assert token not in str(rows)


def test_who_asked_for_the_connection_is_remembered(world: World) -> None:
    assert world.connected("google").asked_by == "Tests"


@pytest.mark.parametrize(
    ("issuer", "subject", "same"),
    [
        ("https://accounts.google.com", "1", True),
        ("accounts.google.com", "1", True),
        ("https://accounts.google.com", "2", False),
        ("https://elsewhere.example", "1", False),
    ],
)
def test_an_owner_is_who_consented(world: World, issuer: str, subject: str, *, same: bool) -> None:
    """Google's issuer is written with and without https."""
    from dataclasses import replace

    grant = world.grants_table.get(world.connected("google").id)
    assert grant is not None
    grant = replace(grant, identity=Identity("https://accounts.google.com", "1", ()))

    assert is_owner(Identity(issuer, subject, ()), grant) is same
    assert not is_owner(None, grant)
    assert not is_owner(Identity(issuer, subject, ()), None)
