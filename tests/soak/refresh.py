"""Refreshes grants through crashes, lost answers and throttled tables, and counts the grants that this costs.

``python -m tests.soak.refresh [N]`` runs N cycles (10,000) for each of three providers: one that rotates and
lets the old token live, as Microsoft; one that does not rotate, as Google; and a strict one, which forgets
the old token at once and ends the whole grant when it is used again. In each cycle one to three workers need
a newer token at once; in one of five something goes wrong at a random step: a worker dies or is stopped for
longer than its lease, an answer is lost, the tables are throttled. Stores and provider are models, and the
rules of tests/properties are held all the time; the token care is the real one.

Exit status 1 when a rule did not hold, or a grant was lost but to the strict provider.
"""

from __future__ import annotations

import logging
import random
import sys
import time

from chalicelib.clock import HOUR, MINUTE
from tests.properties.plans import Fate, Job, Plan, Service
from tests.properties.simulation import Simulation, simulated_time

CYCLES = 10_000
CYCLES_OF_A_GRANT = 20
TROUBLE = 0.2
"""In how many cycles something goes wrong."""
MOST_WORKERS = 3
FATES = (Fate.DIE, Fate.FAIL, Fate.FREEZE, Fate.THROTTLE, Fate.OUTAGE)
STEPS = {Service.TABLES: 16, Service.KEYS: 4, Service.PROVIDER: 2}
"""The steps of a worker whom nothing disturbs, and of whom one is drawn."""
SWITCHES = 4
PROGRESS_SECONDS = 10.0


class Toll:
    """What became of the grants of one provider."""

    def __init__(self, temperament: str) -> None:
        self.temperament = temperament
        self.cycles = self.faults = self.grants = self.lost = 0
        self.broken: list[str] = []

    def __str__(self) -> str:
        return (
            f"{self.temperament:<10} {self.cycles} cycles, {self.faults} faults: "
            f"{self.lost} of {self.grants} grants lost"
        )

    def take(self, cycles: int, chance: random.Random) -> None:
        """One grant, for so many cycles, and then a quiet time."""
        world = Simulation(self.temperament, accounts=1)
        account = world.accounts[0]
        with simulated_time(world):
            for _ in range(cycles):
                world.play(_plan(chance))
                world.turns.clock += HOUR
            self.broken += world.conclude()
        self.cycles += cycles
        self.faults += world.faults
        self.grants += 1
        self.lost += not world.lives(account)


def taken(temperament: str, cycles: int, chance: random.Random) -> Toll:
    """What that many cycles cost; tells how far it has come from time to time."""
    toll, told = Toll(temperament), time.monotonic()
    while toll.cycles < cycles:
        toll.take(min(CYCLES_OF_A_GRANT, cycles - toll.cycles), chance)
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"{toll} so far", flush=True)
    return toll


def main(cycles: int = CYCLES) -> int:
    """Runs all three and prints what they cost."""
    logging.disable(logging.CRITICAL)
    failed = False
    for temperament in ("microsoft", "google", "strict"):
        seed = random.SystemRandom().getrandbits(32)
        random.seed(seed)  # the jitter of the token care
        toll = taken(temperament, cycles, random.Random(seed))  # noqa: S311 - no secret
        print(f"{toll} (seed {seed})", flush=True)
        for rule in toll.broken:
            print(f"  broken: {rule}")
        failed = failed or bool(toll.broken) or (toll.lost > 0 and temperament != "strict")
    return 1 if failed else 0


def _plan(chance: random.Random) -> Plan:
    jobs = tuple(Job(time=5 * MINUTE) for _ in range(chance.randint(1, MOST_WORKERS)))
    switches = {chance.randint(1, 60): chance.randrange(MOST_WORKERS) for _ in range(SWITCHES)}
    if chance.random() > TROUBLE:
        return Plan(jobs, switches)
    service = chance.choice(list(STEPS))
    return Plan(jobs, switches, {(service, chance.randint(1, STEPS[service])): chance.choice(FATES)})


if __name__ == "__main__":
    sys.exit(main(*(int(text) for text in sys.argv[1:2])))
