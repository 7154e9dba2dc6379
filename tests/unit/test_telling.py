"""Telling that a mailbox needs its owner: once for each time that a grant ends, whatever dies in between."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import DueReason
from chalicelib.accounts.tokens.refreshing import mailbox_of
from chalicelib.aws.events import EventBus
from chalicelib.clock import DAY, MINUTE
from chalicelib.errors import Diagnosed, Unavailable
from tests.unit.accounts_world import PUBLIC_URL, world

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]
pytestmark = pytest.mark.aws


class Bus:
    """Hears what is published, and fails as often as it is told."""

    def __init__(self, *, fails: int = 0) -> None:
        self.fails = fails
        self.heard: list[tuple[str, Mapping[str, Any]]] = []

    def put(self, kind: str, detail: Mapping[str, Any]) -> None:
        if self.fails:
            self.fails -= 1
            raise Unavailable("The event bus did not answer.", fix="Try again.")
        self.heard.append((kind, detail))


def listening(world: World, *, fails: int = 0) -> Bus:
    """The bus that the services publish on."""
    bus = Bus(fails=fails)
    world.__dict__["events"] = bus
    return bus


def dead(world: World, account: Account | None = None) -> Account:
    """An account whose grant was refused twice."""
    account = account or world.connected("google")
    world.control.revoke(account.address)
    for _ in range(2):
        with pytest.raises(Diagnosed):
            world.access_tokens.fresh(account.id, failed_version=100)
        world.later += 6 * MINUTE
    assert world.read(account).grant_state is GrantState.NEEDS_RECONNECT
    return account


def look(world: World, account: Account) -> None:
    """What the schedule does for the account."""
    world.tokens.refresh([account.id], until=world.now() + MINUTE)


def test_an_owner_is_told_once_with_a_link_that_connects(world: World) -> None:
    bus = listening(world)
    account = dead(world)

    world.at_once(3, lambda: look(world, account))
    look(world, account)

    ((kind, detail),) = bus.heard
    assert kind == "Account needs its owner"
    assert detail["account"] == account.id
    assert set(detail["diagnosis"]) == {"class", "code", "message", "fix"}
    assert account.address not in repr(detail)
    page = world.registry.page(detail["connect_link"].removeprefix(f"{PUBLIC_URL}/connect/"))
    assert (page.account, page.asked_by) == (account.id, "Mailgrant")


def test_who_looked_before_the_owner_was_told_tells_nobody_again(world: World) -> None:
    bus = listening(world)
    account = dead(world)
    seen = world.grants_table.get(account.id)
    assert seen is not None
    look(world, account)

    world.telling.tell(seen, mailbox_of(world.read(account), world.connectors_table, world.providers))

    assert len(bus.heard) == 1
    grant = world.grants_table.get(account.id)
    assert grant is not None
    assert grant.lease_owner is None


def test_the_schedule_finds_whom_to_tell(world: World) -> None:
    bus = listening(world)
    account = dead(world)

    world.tokens.refresh_due(until=world.now() + MINUTE)

    assert [detail["account"] for _, detail in bus.heard if detail["account"] == account.id] == [account.id]
    grant = world.grants_table.get(account.id)
    assert grant is not None
    assert (grant.refresh_due_at, grant.lease_owner) == (None, None)


def test_each_incident_is_told_of(world: World) -> None:
    bus = listening(world)
    account = dead(world)
    look(world, account)
    assert world.sign_in(world.read(account))["outcome"] == "connected"
    dead(world, account)
    look(world, account)

    assert len({detail["incident"] for _, detail in bus.heard}) == 2


def test_a_bus_that_fails_is_tried_again(world: World) -> None:
    bus = listening(world, fails=1)
    account = dead(world)

    for _ in range(3):
        look(world, account)

    assert len(bus.heard) == 1


def test_who_has_reconnected_meanwhile_is_not_told(world: World) -> None:
    bus = listening(world)
    account = dead(world)
    assert world.sign_in(world.read(account))["outcome"] == "connected"

    world.later += DAY
    look(world, account)

    assert bus.heard == []
    grant = world.grants_table.get(account.id)
    assert grant is not None
    assert grant.due_reason is DueReason.KEEP_ALIVE


def test_the_event_names_the_mailbox_where_the_stage_allows_it(world: World) -> None:
    world.settings = replace(world.settings, address_in_events=True)
    bus = listening(world)
    account = dead(world)

    look(world, account)

    assert bus.heard[0][1]["address"] == account.address


def test_an_event_that_was_not_taken_is_no_success() -> None:
    class Refusing:
        def put_events(self, *, Entries: object) -> dict[str, Any]:  # noqa: N803 - boto3's name
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}

    with pytest.raises(Unavailable):
        EventBus(Refusing, "unit").put("kind", {})
