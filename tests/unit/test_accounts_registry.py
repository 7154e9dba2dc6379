"""Connectors and accounts, against real tables."""

from __future__ import annotations

import pytest

from chalicelib import ids
from chalicelib.accounts.models import GrantState, Status, status
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Conflict, InvalidInput, NotFound
from tests.unit.accounts_world import World, aws, people, world

__all__ = ["aws", "people", "world"]


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


@pytest.mark.parametrize("name", ["x" * 101, "a\nb", "acc_" + "0" * 20], ids=["long", "line break", "an id"])
def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    connector = world.connector("google")

    with pytest.raises(InvalidInput):
        world.registry.create_account(connector.id, "ada@mail.example", name)


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


def test_an_unknown_account_or_connector_is_not_found(world: World) -> None:
    for find in (world.registry.account, world.registry.connector):
        for named in (ids.new_id("acc"), ids.new_id("con"), "nobody"):
            with pytest.raises(NotFound):
                find(named)


@pytest.mark.parametrize(
    ("provider", "client_id", "tenant"),
    [
        ("yahoo", "abc", ""),
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

    world.stores.accounts.set_transport_block(account.id, block)  # type: ignore[attr-defined]
    blocked = world.read(account)
    world.stores.accounts.set_transport_block(account.id, None)  # type: ignore[attr-defined]

    connector = world.registry.connector(account.connector)
    assert blocked.transport_block == block
    assert status(blocked, connector) is Status.BLOCKED
    assert status(world.read(account), connector) is Status.CONNECTED
    assert account.grant_state is GrantState.ACTIVE
