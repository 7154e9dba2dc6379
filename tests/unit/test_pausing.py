"""Accounts that are paused, against real stores and a real mail server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.clock import HOUR, MINUTE, SECOND
from chalicelib.errors import Conflict
from chalicelib.mail.models import ClosedReason
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]


def pause(world: World, reason: str = "") -> None:
    """Pauses the account."""
    world.pausing.pause(world.account, by=world.caller.id, reason=reason)


def after_first(world: World, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Has `change` done when the first message of a visit was sent, and some seconds go by."""
    finish = world.messages_table.finish
    sent: list[Any] = []

    def finished(*arguments: Any) -> bool:
        if not sent:
            change()
            world.ahead += 11 * SECOND
        sent.append(arguments)
        return finish(*arguments)

    monkeypatch.setattr(world.messages_table, "finish", finished)


def test_a_paused_account_takes_mail_and_holds_it(world: World) -> None:
    first = world.accept()
    pause(world, "an audit")
    second = world.accept()

    assert world.serve() == {}
    assert [world.record(one)["state"] for one in (first, second)] == ["held", "held"]
    assert world.lane.state(world.account_id).closed is ClosedReason.PAUSED
    assert (world.account.paused_by, world.account.pause_reason) == (world.caller.id, "an audit")


def test_an_account_that_never_had_mail_can_be_paused(world: World) -> None:
    pause(world)
    message = world.accept()

    assert world.serve() == {}
    assert world.record(message)["state"] == "held"


def test_a_resumed_account_sends_what_was_held_and_is_rung_once(world: World) -> None:
    pause(world)
    message = world.accept()
    world.serve()
    rung = world.lane.state(world.account_id).rung
    world.wakeups_sent()

    account = world.pausing.resume(world.account)

    assert (account.paused_by, account.paused_at, account.pause_reason) == (None, None, "")
    assert world.lane.state(world.account_id).rung == rung + 1
    assert world.wakeups_sent() == 1
    assert world.serve() == {"sent": 1}
    assert world.record(message)["state"] == "sent"


def test_the_first_pause_stays_on_record(world: World) -> None:
    pause(world, "the first")
    at = world.account.paused_at

    again = world.pausing.pause(world.account, by="key_other", reason="the second")

    assert (again.paused_by, again.paused_at, again.pause_reason) == (world.caller.id, at, "the first")


def test_resuming_opens_no_lane_that_is_closed_for_another_reason(world: World) -> None:
    world.accept()
    world.lane.close(world.account_id, ClosedReason.NEEDS_RECONNECT)

    world.pausing.resume(world.account)

    assert world.lane.state(world.account_id).closed is ClosedReason.NEEDS_RECONNECT


def test_held_mail_of_a_paused_account_expires_in_time(world: World) -> None:
    message = world.accept(expires_in=3_600)
    pause(world)
    world.serve()
    world.ahead = 2 * HOUR

    world.serve()

    record = world.record(message)
    assert record["state"] == "failed"
    assert record["attempts"][-1]["diagnosis"]["code"] == "expired"
    assert "paused" in record["attempts"][-1]["diagnosis"]["message"]


def test_a_worker_that_is_at_it_stops_within_seconds_of_a_pause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [world.accept() for _ in range(3)]
    after_first(world, monkeypatch, lambda: pause(world))

    assert world.serve() == {"sent": 1}
    assert sorted(world.record(one)["state"] for one in messages) == ["held", "held", "sent"]


def test_a_worker_that_is_at_it_stops_within_seconds_of_a_disconnect(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [world.accept() for _ in range(3)]
    after_first(world, monkeypatch, lambda: world.change(grant_state=GrantState.NONE))

    assert world.serve() == {"sent": 1}
    assert sorted(world.record(one)["state"] for one in messages) == ["held", "held", "sent"]
    assert world.lane.state(world.account_id).closed is ClosedReason.DISCONNECTED
    world.ahead += MINUTE  # by then no door remembers the account as it was
    with pytest.raises(Conflict) as refused:
        world.accept()
    assert refused.value.error_code == "account_disconnected"


def test_a_resume_at_the_moment_when_a_worker_stops_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause(world)
    message = world.accept()
    close = world.lane.close

    def overtaken(*arguments: Any) -> None:
        world.pausing.resume(world.account)
        close(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(world.lane, "close", overtaken)
        world.serve()

    world.serve()
    assert world.lane.state(world.account_id).closed is None
    assert world.serve() == {"sent": 1}
    assert world.record(message)["state"] == "sent"


def test_a_resume_between_the_two_steps_of_a_pause_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = world.accept()
    close = world.lane.close

    def overtaken(*arguments: Any) -> None:
        world.pausing.resume(world.account)
        close(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(world.lane, "close", overtaken)
        pause(world)
    assert world.lane.state(world.account_id).closed is ClosedReason.PAUSED

    world.serve()
    assert world.serve() == {"sent": 1}
    assert world.record(message)["state"] == "sent"


def test_a_pause_between_the_two_steps_of_a_resume_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = world.accept()
    pause(world)
    release = world.lane.release

    def overtaken(*arguments: Any) -> None:
        pause(world)
        release(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(world.lane, "release", overtaken)
        world.pausing.resume(world.account)

    assert world.serve() == {}
    assert world.lane.state(world.account_id).closed is ClosedReason.PAUSED
    assert world.record(message)["state"] == "held"


def test_a_long_visit_looks_at_the_account_every_ten_seconds_and_no_oftener(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        world.accept()
    get, looks = world.accounts_table.get, []

    def counted(account: str) -> Any:
        looks.append(account)
        return get(account)

    monkeypatch.setattr(world.accounts_table, "get", counted)
    after_first(world, monkeypatch, lambda: None)

    assert world.serve() == {"sent": 6}
    assert len(looks) == 2
