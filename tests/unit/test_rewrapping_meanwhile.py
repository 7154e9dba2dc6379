"""Data keys are wrapped anew while others work: nothing newer is lost, and nothing older comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.unit.rewrapping_world import (
    MG1,
    MG2,
    aws,
    between,
    complete,
    grant_of,
    mailbox,
    once,
    opened,
    save,
    signed_in,
    switch,
    values,
    world,
)
from tests.unit.test_vault_rows import outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["aws", "signed_in", "world"]

SAVED = "after-call.kms.ReEncrypt"
"""The moment between what KMS has answered and its being written."""


def test_V4_a_worker_that_remembers_an_old_data_key_reads_the_new_value_too(world: World) -> None:
    """And what it has read before, also while KMS is away."""
    account = mailbox(world)
    old = grant_of(world, account)
    texts = opened(world, with_memory=True)

    world.rewrapping.rewrap()

    assert opened(world, with_memory=True) == texts
    with outage(world):
        assert world.keeper.reveal(old).reveal() == texts[account.id, "refresh_token"]
        assert opened(world, with_memory=True) == texts


def test_V4_a_value_in_somebodys_hand_opens_after_the_sweep(world: World) -> None:
    account = mailbox(world)
    old, texts = grant_of(world, account), opened(world)

    world.rewrapping.rewrap()

    assert world.keeper.reveal(old).reveal() == texts[account.id, "refresh_token"]


@pytest.mark.parametrize("work", [save, switch], ids=["refreshed", "connected anew"])
def test_V4_what_is_saved_meanwhile_stays_and_is_wrapped_anew_too(
    world: World, work: Callable[[World, Account], None]
) -> None:
    account = mailbox(world)
    seen: dict[tuple[str, str], str] = {}

    def meanwhile() -> None:
        work(world, account)
        seen.update(opened(world))

    with between(world, SAVED, once(meanwhile)):
        answer = world.rewrapping.rewrap()

    assert answer["busy"] == answer["unreadable"] == []
    assert opened(world) == seen
    assert {value.mark for value in values(world).values()} == {MG2}


def test_V4_what_changes_each_time_is_named_and_has_the_last_change(world: World) -> None:
    account = mailbox(world)

    def refresh() -> None:
        save(world, account)

    with between(world, "before-call.dynamodb.UpdateItem", act := Guarded(refresh)):
        answer = world.rewrapping.rewrap()

    assert act.done > 2
    assert answer["busy"] == [account.id]
    assert grant_of(world, account).refresh_token.startswith(MG1)
    assert world.rewrapping.rewrap() == {"rewrapped": 3, "busy": [], "unreadable": [], "cursor": None}


class Guarded:
    """Does the work at each event but those of the work itself."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.done = 0
        self.working = False

    def __call__(self) -> None:
        """Works."""
        if not self.working:
            self.working = True
            self.work()
            self.done += 1
            self.working = False


def test_V4_a_refresh_under_way_brings_no_old_wrapping_back(world: World) -> None:
    """The whole sweep comes between its lease and its save, which carries along what it has not made."""
    account = world.connected("google")
    complete(world, account)
    texts = opened(world)
    body = {"access_token": "another", "token_type": "Bearer", "expires_in": 3600}
    world.control.inject("token", status=200, body=body)

    with between(world, "before-call.kms.GenerateDataKey", once(world.rewrapping.rewrap)):
        world.tokens.ensure(account.id, failed_version=grant_of(world, account).version)

    grant = grant_of(world, account)
    assert grant.version == 4
    assert grant.lease_owner is None
    assert grant.previous is not None
    assert grant.previous.refresh_token.startswith(MG2)
    assert opened(world)[account.id, "previous"] == texts[account.id, "previous"]


def test_V4_a_consent_under_way_brings_no_old_wrapping_back(world: World) -> None:
    """It reads the grant that it replaces, and begins anew when that was wrapped anew before it is saved."""
    account = world.connected("google")
    complete(world, account)

    with between(world, "before-call.dynamodb.TransactWriteItems", once(world.rewrapping.rewrap)):
        assert world.sign_in(account)["outcome"] == "connected"

    grant = grant_of(world, account)
    assert grant.version == 4
    assert grant.previous is not None
    assert grant.previous.refresh_token.startswith(MG2)
    assert grant.refresh_token.startswith(MG1)


def test_V4_a_consent_whose_save_was_not_answered_is_known_after_the_sweep(world: World) -> None:
    """It asks whether its own values are stored: they are, in another wrapping."""
    account = world.connected("google")

    def lose_the_answer() -> None:
        world.rewrapping.rewrap()
        raise ReadTimeoutError(endpoint_url="dynamodb")

    with between(world, "after-call.dynamodb.TransactWriteItems", once(lose_the_answer)):
        assert world.sign_in(account)["outcome"] == "connected"

    grant = grant_of(world, account)
    assert grant.version == 2
    assert grant.refresh_token.startswith(MG2)


def test_V4_a_lease_outlives_the_sweep(world: World) -> None:
    account, now = mailbox(world), world.now()
    assert world.grants_table.lease(grant_of(world, account), owner="me", now=now, until=now + 60_000)

    assert world.rewrapping.rewrap()["busy"] == []

    grant = grant_of(world, account)
    assert (grant.lease_owner, grant.lease_until) == ("me", now + 60_000)


def test_V4_what_was_disconnected_meanwhile_does_not_come_back(world: World) -> None:
    account = mailbox(world)

    def disconnect() -> None:
        world.disconnecting.disconnect(account.id, by="tests")

    with between(world, SAVED, once(disconnect)):
        answer = world.rewrapping.rewrap()

    assert answer == {"rewrapped": 0, "busy": [], "unreadable": [], "cursor": None}
    assert values(world) == {}
