"""What becomes of grants on the rescue queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.accounts.models import Grant, GrantState
from chalicelib.clock import DAY, MINUTE
from chalicelib.errors import ConfigurationError, Diagnosed, Unavailable
from chalicelib.secret import Secret
from tests.unit.accounts_world import World, world

__all__ = ["world"]


def received(world: World, grant: Grant, token: str, version: int) -> Grant:
    """The grant as if that refresh token had come with that version."""
    sealed = world.keeper.prepare(grant.account).refresh_token(Secret(token), version)
    return replace(grant, version=version, refresh_token=sealed)


def test_a_grant_that_was_never_saved_is_saved_and_due_at_once(world: World) -> None:
    account = world.account(world.connector("microsoft"))
    known = world.connected("microsoft")
    grant = world.grants_table.get(known.id)
    assert grant is not None
    first = received(world, replace(grant, account=account.id), "the first", 1)

    world.keeper.rescue(first, until=world.now())
    world.tokens.drain_rescue(until=world.now() + MINUTE)

    saved = world.grants_table.get(account.id)
    assert saved is not None
    assert saved.version == 1
    assert (saved.refresh_due_at or 0) <= world.now()
    assert world.read(account).grant_state is GrantState.ACTIVE


def test_an_older_grant_never_replaces_a_newer_one(world: World) -> None:
    account = world.connected("microsoft")
    grant = world.grants_table.get(account.id)
    assert grant is not None
    world.access_tokens.fresh(account.id, failed_version=1)
    newest = world.grants_table.get(account.id)

    world.keeper.rescue(received(world, grant, "an older one", 2), until=world.now())
    world.tokens.drain_rescue(until=world.now() + MINUTE)

    assert world.grants_table.get(account.id) == newest
    assert world.rescue_queue.take() == []


def test_a_rescued_token_is_tried_where_the_stored_one_is_refused(world: World) -> None:
    account = world.connected("microsoft")
    good = world.grants_table.get(account.id)
    assert good is not None
    token = world.keeper.reveal(good).reveal()
    broken = received(world, good, "a token that nobody knows", 2)
    assert world.grants_table.save_rescued(broken)
    with pytest.raises(Diagnosed):
        world.access_tokens.fresh(account.id, failed_version=1)

    world.keeper.rescue(received(world, good, token, 2), until=world.now())
    world.tokens.drain_rescue(until=world.now() + MINUTE)

    assert world.access_tokens.fresh(account.id, failed_version=2).version == 4


def test_what_is_no_grant_stays_and_stops_nothing(world: World) -> None:
    account = world.account(world.connector("microsoft"))
    known = world.grants_table.get(world.connected("microsoft").id)
    assert known is not None
    world.rescue_queue.put("not a grant")
    world.keeper.rescue(received(world, replace(known, account=account.id), "one", 1), until=world.now())

    world.tokens.drain_rescue(until=world.now() + MINUTE)

    assert world.grants_table.get(account.id) is not None
    world.aws.clients.sqs.purge_queue(QueueUrl=world.settings.rescue_queue_url)


def test_R3_a_mistake_of_ours_loses_no_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("microsoft")

    def broken(*_: object, **__: object) -> bool:
        raise TypeError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.grants_table), "save_refreshed", broken)
        with pytest.raises(Unavailable):
            world.access_tokens.fresh(account.id, failed_version=1)
    world.tokens.drain_rescue(until=world.now() + MINUTE)

    saved = world.grants_table.get(account.id)
    assert saved is not None
    assert saved.version == 2


def test_a_grant_that_changes_while_it_is_drained_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.account(world.connector("microsoft"))
    known = world.grants_table.get(world.connected("microsoft").id)
    assert known is not None
    world.keeper.rescue(received(world, replace(known, account=account.id), "one", 1), until=world.now())
    done: list[str] = []
    monkeypatch.setattr(world.rescue_queue, "done", done.append)

    with monkeypatch.context() as patched:
        patched.setattr(world.grants_table, "save_rescued", lambda _: False)
        world.tokens.drain_rescue(until=world.now() + MINUTE)

    assert done == []
    world.clients.sqs.purge_queue(QueueUrl=world.settings.rescue_queue_url)


@pytest.mark.parametrize("error", [Unavailable("No.", fix="Do."), ConfigurationError("denied")], ids=repr)
def test_R12_a_broken_rescue_queue_keeps_nobody_from_being_refreshed(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    account = world.connected("microsoft")
    world.later = 60 * DAY

    def broken() -> list[tuple[str, str]]:
        raise error

    monkeypatch.setattr(world.rescue_queue, "take", broken)
    world.refresh_schedule.run(until=world.now() + MINUTE)

    assert world.refreshes(account) == 1
