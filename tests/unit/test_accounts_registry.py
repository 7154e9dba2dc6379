"""Connectors and accounts, against real tables."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import ids
from chalicelib.accounts.models.account import GrantState, Status, status
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Conflict, InvalidInput, NotFound, Unavailable
from tests.unit.accounts_world import World, world

__all__ = ["world"]


def test_an_account_is_found_by_id_and_by_name_in_any_case(world: World) -> None:
    connector = world.connector("google")
    account = world.registry.create_account(
        connector.id, f"{ids.new_id('x')}@mail.example", ids.new_id("Name")
    )

    assert world.registry.account(account.id) == account
    assert world.registry.account(account.name.upper()) == account


def test_the_address_is_the_name_where_none_is_given(world: World) -> None:
    connector = world.connector("google")
    address = f"Ada.{ids.new_id('x')}@mail.example"

    assert world.registry.create_account(connector.id, address).name == address.lower()


def test_a_name_belongs_to_one_account(world: World) -> None:
    connector = world.connector("google")
    name = ids.new_id("name")
    world.registry.create_account(connector.id, "ada@mail.example", name)

    with pytest.raises(Conflict) as refused:
        world.registry.create_account(connector.id, "bob@mail.example", name.upper())

    assert refused.value.field == "name"


@pytest.mark.parametrize(
    "name",
    ["x" * 101, "a\nb", "a\x7fb", "acc_" + "0" * 20, "a/b", "a\\b", "50%", "a?b", "a#b", "..", " . "],
    ids=lambda name: repr(name[:6]),
)
def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    connector = world.connector("google")

    with pytest.raises(InvalidInput) as refused:
        world.registry.create_account(connector.id, "ada@mail.example", name)

    assert refused.value.field == "name"
    assert refused.value.fix


def test_an_address_that_cannot_stand_in_a_path_needs_a_name(world: World) -> None:
    connector, local = world.connector("google"), f"a/{ids.new_id('x')}"

    with pytest.raises(InvalidInput) as refused:
        world.registry.create_account(connector.id, f"{local}@mail.example")
    account = world.registry.create_account(connector.id, f"{local}@mail.example", ids.new_id("name"))

    assert refused.value.field == "name"
    assert account.address == f"{local}@mail.example"


def test_what_is_too_long_for_a_name_is_not_looked_for(world: World) -> None:
    with pytest.raises(NotFound):
        world.registry.account("x" * 3_000)  # DynamoDB takes no key above 2,048 bytes


@pytest.mark.parametrize("address", ["", "ada", "ada@", "a@b@c.example", "ada@mail.example\r\nBcc: x@y.z"])
def test_an_address_that_is_none_is_refused(world: World, address: str) -> None:
    connector = world.connector("google")

    with pytest.raises(InvalidInput):
        world.registry.create_account(connector.id, address)


def test_accounts_are_listed_page_by_page_and_each_once(world: World) -> None:
    connector = world.connector("google")
    made = {
        world.registry.create_account(connector.id, f"{ids.new_id('x')}@mail.example").id for _ in range(7)
    }

    listed: list[str] = []
    cursor: str | None = None
    while True:
        found, cursor = world.registry.accounts(3, cursor)
        assert len(found) <= 3
        listed += [account.id for account in found]
        if cursor is None:
            break

    assert made <= set(listed)
    assert len(listed) == len(set(listed))


def test_a_callers_own_accounts_are_listed_page_by_page_and_no_others(world: World) -> None:
    connector = world.connector("google")
    made = [
        world.registry.create_account(connector.id, f"{ids.new_id('x')}@mail.example").id for _ in range(6)
    ]
    own = {*made[:5], ids.new_id("acc")}

    pages: list[int] = []
    listed: list[str] = []
    cursor: str | None = None
    while True:
        found, cursor = world.registry.accounts(2, cursor, among=own)
        pages.append(len(found))
        listed += [account.id for account in found]
        if cursor is None:
            break

    assert listed == sorted(made[:5])
    assert len(pages) == 3


def test_what_a_batch_left_out_is_asked_for_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = world.connector("google")
    made = sorted(
        world.registry.create_account(connector.id, f"{ids.new_id('x')}@mail.example").id for _ in range(3)
    )
    real, table = world.clients.dynamodb.batch_get_item, world.settings.table("accounts")

    def one_at_a_time(RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        keys = RequestItems[table]["Keys"]
        first: Any = {table: RequestItems[table] | {"Keys": keys[:1]}}
        answer = dict(real(RequestItems=first))
        return answer | {"UnprocessedKeys": {table: {"Keys": keys[1:]}} if keys[1:] else {}}

    monkeypatch.setattr(world.clients.dynamodb, "batch_get_item", one_at_a_time)

    assert [account.id for account in world.accounts_table.some(made)] == made
    with pytest.raises(Unavailable):
        world.accounts_table.some([ids.new_id("acc") for _ in range(6)])


def test_an_unknown_account_or_connector_is_not_found(world: World) -> None:
    for find in (world.registry.account, world.registry.connector):
        for named in (ids.new_id("acc"), ids.new_id("con"), "nobody"):
            with pytest.raises(NotFound):
                find(named)


@pytest.mark.parametrize(
    ("provider", "client_id", "tenant"),
    [
        ("hotmail", "abc", ""),
        ("google", "", ""),
        ("google", "a b", ""),
        ("google", "abc", "x"),
        ("microsoft", "abc", "a/b"),
    ],
)
def test_a_wrong_connector_is_refused(world: World, provider: str, client_id: str, tenant: str) -> None:
    with pytest.raises(InvalidInput):
        world.registry.new_connector(provider, "", client_id, tenant)


def test_a_secret_is_not_in_the_connectors_row(world: World) -> None:
    connector = world.connector("microsoft")

    stored = world.registry.connector(connector.id)

    assert stored.tenant == "common"
    assert stored.secret_saved_at is not None
    assert world.secrets.get(connector.id).reveal() not in repr(stored)


def test_a_transport_block_is_written_and_removed(world: World) -> None:
    account = world.connected("google")
    block = Diagnosis(DiagnosisClass.ADMIN, "smtp_535_5.7.139", "SMTP AUTH is off.", "Turn it on.")

    world.accounts_table.set_transport_block(account.id, block)
    blocked = world.read(account)
    world.accounts_table.set_transport_block(account.id, None)

    connector = world.registry.connector(account.connector)
    assert blocked.transport_block == block
    assert status(blocked, connector) is Status.BLOCKED
    assert status(world.read(account), connector) is Status.CONNECTED
    assert account.grant_state is GrantState.ACTIVE
