"""A clock that is wrong is put right by what AWS answers, before anything is decided by it."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from chalicelib import clock
from chalicelib.clock import MINUTE, SECOND
from tests.unit.accounts_world import world

if TYPE_CHECKING:
    from tests.unit.accounts_world import World

__all__ = ["world"]

NOW = 1_900_000_000 * SECOND
RIGHT = clock.own


@pytest.fixture(autouse=True)
def _right() -> Iterator[None]:
    """No test leaves a corrected clock behind."""
    yield
    clock._Correction.behind = 0


def wrong_by(monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> None:
    """This machine's clock is that far ahead from now on, and nobody has told it yet."""
    monkeypatch.setattr(clock, "own", lambda: RIGHT() + milliseconds)


def said(milliseconds: int) -> str:
    """A Date."""
    from datetime import UTC, datetime

    return format_datetime(datetime.fromtimestamp(milliseconds // SECOND, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("date", "took", "behind"),
    [
        (said(NOW + 10 * MINUTE), 0, 10 * MINUTE),
        (said(NOW - 10 * MINUTE), 0, -10 * MINUTE),
        (said(NOW + 20 * SECOND), 0, 0),
        (said(NOW + 10 * MINUTE), 6 * SECOND, 0),
        ("yesterday", 0, 0),
        ("", 0, 0),
    ],
)
def test_a_date_corrects_the_clock_where_it_is_clearly_wrong(
    monkeypatch: pytest.MonkeyPatch, date: str, took: int, behind: int
) -> None:
    monkeypatch.setattr(clock, "own", lambda: NOW + took)

    clock.heard(date, asked_at=NOW)

    assert clock.now() == NOW + took + behind


@pytest.mark.parametrize("ahead", [10 * MINUTE, -10 * MINUTE])
def test_F30_a_wrong_clock_steals_no_lease(world: World, monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    account = world.connected("microsoft")
    grant, now = world.grants_table.get(account.id), world.now()
    assert grant is not None
    assert world.grants_table.lease(grant, owner="another", now=now, until=now + MINUTE)

    wrong_by(monkeypatch, ahead)
    read = world.grants_table.get(account.id)  # and heard what time it is
    assert read is not None
    taken = world.grants_table.lease(read, owner="us", now=world.now(), until=world.now() + MINUTE)

    assert not taken
    assert abs(world.now() - RIGHT()) < 5 * SECOND


def test_F30_a_wrong_clock_ends_no_token_early(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("google")

    wrong_by(monkeypatch, 2 * 60 * MINUTE)
    token = world.access_tokens.fresh(account.id)

    assert token.version == 1
    assert world.refreshes(account) == 0
