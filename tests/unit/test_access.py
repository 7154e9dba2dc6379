"""How often the row of an access token is read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from chalicelib import clock
from chalicelib.accounts.models.grant import MAIL, SealedToken
from chalicelib.accounts.tokens.access import MEMORY, ROWS_REMEMBERED, AccessTokens

BORN = 1_000_000


@dataclass
class Rows:
    """One row for every account, in this process, and the time; it counts how often it is read."""

    version: int = 1
    expires_at: int = BORN + clock.HOUR
    now: int = BORN
    read: int = 0
    asked: int = 0

    def get(self, account: str, resource: str = MAIL) -> SealedToken | None:
        """The row."""
        self.read += 1
        return SealedToken(account, b"opened", self.version, self.expires_at, BORN, resource)

    def make_newer(self, _account: str, _failed_version: int | None, _resource: str) -> None:
        """As a refresh does."""
        self.asked += 1
        self.version += 1
        self.expires_at = self.now + clock.HOUR


def fresh(tokens: AccessTokens, rows: Rows, account: str = "acc_1") -> int:
    """The version of the token that somebody gets who has read the account at this moment."""
    return tokens.fresh(account, ends_at=rows.expires_at).version


def desk(rows: Rows, memory: int = MEMORY) -> AccessTokens:
    return AccessTokens(rows, lambda *place: place[-1], rows.make_newer, now=lambda: rows.now, memory=memory)


def test_a_row_is_read_once_while_it_is_remembered() -> None:
    rows = Rows()
    tokens = desk(rows)

    found = [fresh(tokens, rows) for _ in range(3)]

    assert (found, rows.read) == ([1, 1, 1], 1)


@pytest.mark.parametrize(("memory", "later"), [(MEMORY, MEMORY), (0, 0)])
def test_a_row_is_read_again_when_its_time_is_over(memory: int, later: int) -> None:
    rows = Rows()
    tokens = desk(rows, memory)
    fresh(tokens, rows)
    rows.now += later
    rows.version = 2

    assert fresh(tokens, rows) == 2


def test_a_token_of_a_consent_that_was_replaced_is_not_given_from_memory() -> None:
    rows = Rows()
    tokens = desk(rows)
    fresh(tokens, rows)
    rows.version, rows.expires_at = 2, rows.expires_at + 1

    assert fresh(tokens, rows) == 2


def test_who_has_not_looked_at_the_account_gets_nothing_from_memory() -> None:
    rows = Rows()
    tokens = desk(rows)
    fresh(tokens, rows)
    rows.version = 2

    assert tokens.fresh("acc_1").version == 2


def test_a_token_that_a_server_has_refused_is_not_given_from_memory() -> None:
    rows = Rows()
    tokens = desk(rows)
    fresh(tokens, rows)
    rows.version = 2

    assert tokens.fresh("acc_1", failed_version=1, ends_at=rows.expires_at).version == 2
    assert fresh(tokens, rows) == 2
    assert (rows.read, rows.asked) == (2, 0)


def test_a_remembered_token_that_ends_soon_is_replaced() -> None:
    rows = Rows(expires_at=BORN + clock.MINUTE)
    tokens = desk(rows)
    fresh(tokens, rows)
    rows.now += 50 * clock.SECOND

    assert fresh(tokens, rows) == 2
    assert rows.asked == 1


def test_no_more_rows_are_remembered_than_there_is_room_for() -> None:
    rows = Rows()
    tokens = desk(rows)
    for number in range(ROWS_REMEMBERED + 1):
        fresh(tokens, rows, f"acc_{number}")
    before = rows.read

    fresh(tokens, rows, "acc_1")
    fresh(tokens, rows, "acc_0")

    assert rows.read - before == 1


@pytest.mark.parametrize(("failed", "named"), [(None, 1), (1, 1)])
def test_who_makes_a_token_is_told_which_one_will_not_do(failed: int | None, named: int) -> None:
    rows, told = Rows(expires_at=BORN), list[int | None]()

    def ask(account: str, version: int | None, resource: str) -> None:
        told.append(version)
        rows.make_newer(account, version, resource)

    tokens = AccessTokens(rows, lambda *place: place[-1], ask, now=lambda: rows.now)

    assert tokens.fresh("acc_1", failed_version=failed).version == 2
    assert told == [named]
