"""The R rows over random schedules and faults. A simulation: stores and provider are models (stores.py)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.accounts.models import GrantState, TokenSet
from chalicelib.accounts.refreshing import LEASE
from chalicelib.secret import Secret
from tests.properties.simulation import Fate, Simulation, simulated_sleep

Fates = dict[int, Fate]
TEMPERAMENTS = ["microsoft", "google", "strict"]

TROUBLE = [Fate.DIE, Fate.FAIL, Fate.NAP, Fate.OTHER, Fate.SCHEDULE]


def fates(*trouble: Fate) -> st.SearchStrategy[Fates]:
    """A few troubles, each at a step of its own; all other steps go well."""
    return st.dictionaries(st.integers(0, 70), st.sampled_from(trouble), max_size=7)


ROUNDS = st.lists(st.sampled_from(["need", "schedule", "later"]), min_size=1, max_size=6)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of faults would be thousands of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def simulated(temperament: str, trouble: Fates, rounds: list[str]) -> Simulation:
    """What is there after that history, and after a quiet time."""
    world = Simulation(temperament, trouble)
    with simulated_sleep(world):
        for one in rounds:
            if one == "need":
                world.need(world.accounts[0])
            elif one == "schedule":
                world.schedule()
            else:
                world.clock += 30 * 60_000
        world.settle()
    return world


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
@settings(max_examples=150, deadline=None, print_blob=True)
@given(trouble=fates(*TROUBLE), rounds=ROUNDS)
def test_the_rows_of_refreshing_hold_in_every_history(
    temperament: str, trouble: Fates, rounds: list[str]
) -> None:
    world = simulated(temperament, trouble, rounds)

    for account in world.accounts:
        written = [grant for grant in world.grants.written if grant.account == account]
        versions = [grant.version for grant in written]
        assert versions == sorted(versions)  # R2
        assert all(grant.refresh_token.partition(b"|")[2] for grant in written)  # R4
    assert world.provider.overlaps == 0  # R1
    for grant in world.grants.written:
        assert (grant.lease_owner is None) == (grant.lease_until == 0)  # R11
        assert grant.lease_until <= world.clock + LEASE
    with simulated_sleep(world):
        for account in world.accounts:
            lost = not world.alive(account)
            if temperament != "strict" or not world.faults:
                assert not lost  # R3, R5: nothing that the provider still takes was given up
                assert world.grants.accounts[account].grant_state is GrantState.ACTIVE
            if not lost:
                assert world.need(account)  # R12: whatever became of the other one
    if temperament == "google":
        assert all(len(world.secrets(account)) == 1 for account in world.accounts)  # R8


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
@settings(max_examples=100, deadline=None, print_blob=True)
@given(trouble=fates(Fate.FAIL, Fate.OTHER, Fate.SCHEDULE))
def test_R3_what_was_received_is_kept_where_nobody_dies_or_sleeps(temperament: str, trouble: Fates) -> None:
    world = Simulation(temperament, trouble)
    received: list[Secret] = []
    ask = world.provider.refresh

    def remember(*arguments: Any) -> TokenSet:
        answer = ask(*arguments)
        received.extend([answer.refresh_token] if answer.refresh_token else [])
        return answer

    with simulated_sleep(world), patch.object(world.provider, "refresh", remember):
        world.need(world.accounts[0])

    assert {token.reveal() for token in received} <= world.secrets(world.accounts[0])


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
@settings(max_examples=60, deadline=None, print_blob=True)
@given(trouble=fates(*TROUBLE))
def test_R9_a_token_that_is_good_stays_and_versions_of_tokens_only_grow(
    temperament: str, trouble: Fates
) -> None:
    world = Simulation(temperament, trouble)
    with simulated_sleep(world):
        seen = []
        for _ in range(4):
            world.need(world.accounts[0])
            seen.append(world.grants.tokens[world.accounts[0]])

    assert [token.version for token in seen] == sorted(token.version for token in seen)
    assert [token.expires_at for token in seen] == sorted(token.expires_at for token in seen)
