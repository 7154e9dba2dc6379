"""What a refresh is about is read in one request, and never mixed up by what happens in the middle of it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.stores import Stores
from chalicelib.accounts.tokens.looking import Looking
from chalicelib.aws.tables.table import BATCH_TRIES
from chalicelib.clock import MINUTE
from chalicelib.errors import Conflict, Diagnosed, NotFound, Unavailable
from chalicelib.ids import new_id
from tests.unit.accounts_world import world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]


@pytest.fixture
def asked(world: World) -> Iterator[list[str]]:
    """The operations of DynamoDB that are asked for."""
    made: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        made.append(event_name.rpartition(".")[2])

    events = world.clients.dynamodb.meta.events
    events.register("before-send.dynamodb.*", note, unique_id="asked")
    yield made
    events.unregister("before-send.dynamodb.*", unique_id="asked")


def in_between(world: World, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """What happens, happens once: when an account was read already, and its grant not yet.

    DynamoDB reads the rows of one request in any order.
    """
    client, waiting = world.clients.dynamodb, [happens]
    real, grants = client.batch_get_item, world.settings.table("grants")

    def one_after_the_other(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if grants not in RequestItems:
            return dict(real(RequestItems=RequestItems))
        others = {name: keys for name, keys in RequestItems.items() if name != grants}
        before = real(RequestItems=others)["Responses"]
        if waiting:
            waiting.pop()()
        after: Any = real(RequestItems={grants: RequestItems[grants]})["Responses"]
        return {"Responses": {**before, **after}, "UnprocessedKeys": {}}

    monkeypatch.setattr(client, "batch_get_item", one_after_the_other)


def test_a_refresh_asks_the_tables_three_times(world: World, asked: list[str]) -> None:
    account = world.connected()
    world.tokens.ensure(account.id, failed_version=1)
    asked.clear()

    world.tokens.ensure(account.id, failed_version=2)

    assert asked == ["BatchGetItem", "UpdateItem", "TransactWriteItems"]


def test_the_connector_that_was_met_last_is_read_with_the_others(world: World, asked: list[str]) -> None:
    first, second = world.connected(), world.connected("google")
    tables = (world.accounts_table, world.connectors_table, world.authorizations_table, world.grants_table)
    looking = Looking(Stores(*tables, world.mailbox_tables))
    asked.clear()

    looks = [looking.look(account.id) for account in (first, first, second, first)]

    assert [look.connector and look.connector.id for look in looks] == [
        account.connector for account in (first, first, second, first)
    ]
    assert asked == ["BatchGetItem", "GetItem", "BatchGetItem", *(2 * ["BatchGetItem", "GetItem"])]


def test_what_is_not_there_is_said_in_the_same_words(world: World) -> None:
    account = world.account(world.connector("google"))
    with pytest.raises(Diagnosed) as never_connected:
        world.tokens.ensure(account.id)
    with pytest.raises(NotFound):
        world.tokens.ensure(new_id("acc"))
    connected = world.connected()
    world.connectors_table.delete(connected.connector)
    with pytest.raises(Conflict):
        world.tokens.ensure(connected.id, failed_version=1)

    assert never_connected.value.diagnosis.code == "never_connected"


@pytest.mark.parametrize("after", [BATCH_TRIES - 1, BATCH_TRIES])
def test_tables_that_are_throttled_are_asked_again_and_are_not_empty(
    world: World, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    account = world.connected()
    real, tries = world.clients.dynamodb.batch_get_item, iter(range(after))

    def throttled(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if next(tries, None) is None:
            return dict(real(RequestItems=RequestItems))
        (last, keys), *answered = reversed(RequestItems.items())
        responses: Any = real(RequestItems=dict(answered))["Responses"] if answered else {}
        return {"Responses": responses, "UnprocessedKeys": {last: keys}}

    monkeypatch.setattr(world.clients.dynamodb, "batch_get_item", throttled)

    if after < BATCH_TRIES:
        world.tokens.ensure(account.id, failed_version=1)
    else:
        with pytest.raises(Unavailable):
            world.tokens.ensure(account.id, failed_version=1)
    assert world.refreshes(account) == (after < BATCH_TRIES)


def test_a_password_never_goes_where_a_refresh_token_belongs(
    mailing: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = mailing
    account = world.connected("google")
    password = secrets.token_urlsafe(24)
    world.control.register_user(account.address, provider="google", app_password=password)
    in_between(world, monkeypatch, lambda: switched(world, account, password))
    before = world.control.token_requests()

    with pytest.raises(Diagnosed) as told:
        world.tokens.ensure(account.id, failed_version=2)

    assert world.read(account).auth_mode is AuthMode.PASSWORD
    assert told.value.diagnosis.code == "password_refused"
    assert world.control.token_requests() == before


def switched(world: World, account: Account, password: str) -> None:
    """The account has a password from now on."""
    assert world.direct.connect(account.id, "password", password=password)["ok"]


def test_R7_a_grant_that_ends_while_it_is_looked_at_is_not_asked_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("google")
    world.control.revoke(account.address)
    refused(world, account)
    world.later = 6 * MINUTE
    in_between(world, monkeypatch, lambda: refused(world, account))

    again = refused(world, account)

    assert world.read(account).grant_state is GrantState.NEEDS_RECONNECT
    assert again.diagnosis == world.read(account).problem
    assert world.refreshes(account) == 2


def refused(world: World, account: Account) -> Diagnosed:
    """What whoever needs a token is told."""
    with pytest.raises(Diagnosed) as told:
        world.tokens.ensure(account.id, failed_version=1)
    return told.value


def test_an_account_that_is_disconnected_while_it_is_looked_at_is_said_to_be(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected()
    in_between(world, monkeypatch, lambda: world.disconnecting.disconnect(account.id, by="tests"))

    assert refused(world, account).diagnosis.code == "account_disconnected"
    assert world.refreshes(account) == 0
