"""Figures of the token care: a refresh counts once, as one that worked or as one that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.clock import DAY, MINUTE
from chalicelib.errors import Conflict, Diagnosed
from chalicelib.providers.base import token_set
from tests.unit.accounts_world import world
from tests.unit.log_lines import lines

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World
    from tests.unit.log_lines import Lines

__all__ = ["lines", "world"]
pytestmark = pytest.mark.aws


def force(world: World, account: Account) -> None:
    """Asks the provider, whatever is stored."""
    world.tokens.ensure(account.id, failed_version=100, until=world.now() + MINUTE)


def test_a_refresh_that_worked_counts_once_for_its_provider(world: World, lines: Lines) -> None:
    account = world.connected("microsoft")

    force(world, account)

    assert lines.figures() == [("Refreshed", 1)]
    assert lines.all("refreshed")[0]["provider"] == "microsoft"


def test_a_refusal_counts_as_failed_and_says_how_long_the_grant_lives(world: World, lines: Lines) -> None:
    account = world.connected("microsoft")
    world.later += 30 * DAY
    world.control.revoke(account.address)

    with pytest.raises(Diagnosed):
        force(world, account)

    figures = dict(lines.figures())
    assert figures.keys() == {"RefreshFailures", "NearestExpiry"}
    assert figures["RefreshFailures"] == 1
    assert figures["NearestExpiry"] == pytest.approx(60 * DAY / 1000, abs=60)


def test_a_grant_with_a_known_end_tells_it_once_a_day(world: World, lines: Lines) -> None:
    world.control.set_lifetime(refresh=7 * DAY // 1000)
    account = world.connected("google")
    world.control.set_lifetime(refresh=90 * DAY // 1000)
    grant = world.grants_table.get(account.id)
    assert grant is not None
    assert grant.ends_at == world.read(account).grant_ends_at
    assert grant.refresh_due_at == pytest.approx(world.now() + DAY, abs=0.11 * DAY)
    world.later += 2 * DAY

    world.tokens.refresh([account.id], until=world.now() + MINUTE)

    figures = dict(lines.figures())
    assert figures.keys() == {"Refreshed", "NearestExpiry"}
    assert figures["NearestExpiry"] == pytest.approx(5 * DAY / 1000, abs=60)
    assert world.read(account).grant_ends_at == grant.ends_at


@pytest.mark.parametrize("seconds", [True, 0, -1, "604800", 1e5, 10**12, None])
def test_what_is_no_end_of_a_consent_is_none(seconds: object) -> None:
    answer = {"access_token": "token", "refresh_token_expires_in": seconds}

    assert token_set(answer, now=0, scopes=()).ends_at is None


def test_a_refresh_that_could_not_be_begun_counts_as_failed(world: World, lines: Lines) -> None:
    account = world.connected("google")
    name = world.settings.secret_name(account.connector)
    world.clients.secretsmanager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    world.__dict__.pop("secrets", None)
    world.__dict__.pop("tokens", None)

    with pytest.raises(Conflict):
        force(world, account)

    assert dict(lines.figures())["RefreshFailures"] == 1


def test_who_needs_its_owner_is_counted_until_the_owner_comes(world: World, lines: Lines) -> None:
    account = world.connected("google")
    before = world.grants_table.needing_owner()
    world.control.revoke(account.address)
    for _ in range(2):
        with pytest.raises(Diagnosed):
            force(world, account)
        world.later += 6 * MINUTE
    world.__dict__["events"] = _Deaf()

    world.tokens.refresh([account.id], until=world.now() + MINUTE)
    waiting = world.grants_table.needing_owner()
    world.sign_in(account)

    assert lines.all("owner told", account=account.id)
    assert waiting == before + 1
    assert world.grants_table.needing_owner() == before


class _Deaf:
    """A bus on which nobody listens."""

    def put(self, kind: str, detail: object) -> None:
        """Takes it."""
