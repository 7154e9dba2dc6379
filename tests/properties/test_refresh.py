"""The R rows over random schedules and faults. A simulation: stores and provider are models (stores.py)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.clock import HOUR, MINUTE, SECOND
from tests.properties.plans import Fate, Job, Kind, Plan, Service
from tests.properties.simulation import Simulation, simulated_time

TEMPERAMENTS = ["microsoft", "google", "strict"]
AGES = [0, 52 * MINUTE, 2 * HOUR]
"""The access token is good; good, but the schedule replaces it; expired."""

JOBS = st.builds(
    Job,
    st.sampled_from(Kind),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([0, 0, 0, SECOND // 10, 20 * SECOND, 65 * SECOND, 6 * MINUTE]),
    st.sampled_from([40 * SECOND, MINUTE, 5 * MINUTE]),
)
STEPS = st.one_of(
    st.tuples(st.just(Service.PROVIDER), st.integers(1, 8)),
    st.tuples(st.just(Service.TABLES), st.integers(1, 60)),
    st.tuples(st.just(Service.QUEUE), st.integers(1, 8)),
    st.tuples(st.just(Service.KEYS), st.integers(1, 16)),
)
FIRST = {Service.TABLES: 17, Service.KEYS: 4, Service.PROVIDER: 2}
"""The steps of a worker whom nothing disturbs."""
TROUBLES = [
    (Fate.FREEZE, Service.PROVIDER, Fate.PAUSE),
    (Fate.FREEZE, Service.PROVIDER, Fate.FAIL),
    (Fate.FREEZE, Service.PROVIDER, Fate.REFUSE),
    (Fate.FREEZE, Service.QUEUE, Fate.FAIL),
    (Fate.OUTAGE, Service.QUEUE, Fate.FAIL),
]
MOST = {Service.PROVIDER: 6, Service.QUEUE: 4}
"""At how many steps of a service it is tried."""
PLANS = st.builds(
    Plan,
    st.lists(JOBS, min_size=2, max_size=5).map(tuple),
    st.dictionaries(st.integers(1, 100), st.integers(0, 4), min_size=2, max_size=12),
    st.dictionaries(STEPS, st.sampled_from(Fate), min_size=1, max_size=6),
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of faults would be thousands of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def broken(temperament: str, age: int, plans: list[Plan]) -> list[str]:
    """What does not hold in that history."""
    world = Simulation(temperament)
    world.turns.clock += age
    with simulated_time(world):
        for plan in plans:
            world.play(plan)
        return world.conclude()


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
@pytest.mark.parametrize(("fate", "service", "meanwhile"), TROUBLES)
def test_whatever_befalls_a_worker_at_any_step_while_another_thing_fails(
    temperament: str, fate: Fate, service: Service, meanwhile: Fate
) -> None:
    """Three want the same token; the first one's steps are tried one by one, and those of the other thing."""
    jobs = tuple(Job(Kind.REPLACE, time=5 * MINUTE) for _ in range(3))
    firsts = [(one, step) for one, steps in FIRST.items() for step in range(1, steps + 1)]
    for first, other in product(firsts, range(1, MOST[service] + 1)):
        faults = {(service, other): meanwhile, first: fate}
        assert broken(temperament, 2 * HOUR, [Plan(jobs, {}, faults)]) == [], faults


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
@settings(max_examples=350, deadline=None, print_blob=True)
@given(age=st.sampled_from(AGES), plans=st.lists(PLANS, min_size=1, max_size=2))
def test_the_rows_of_refreshing_hold_in_every_history(temperament: str, age: int, plans: list[Plan]) -> None:
    assert broken(temperament, age, plans) == []
