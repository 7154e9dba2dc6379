"""Refreshes grants through crashes and lost answers, and counts the grants that this costs.

``python -m tests.soak.refresh [N]`` runs N cycles (10,000) for each of three providers: one that rotates and
lets the old token live, as Microsoft; one that does not rotate, as Google; and a strict one, which forgets
the old token at once and ends the whole grant when it is used again. In one of five cycles something goes
wrong: the worker dies or an answer is lost, at a random step.
Stores and provider are models
(tests/properties); the token care is the real one. Exit status 1 when a grant was lost but to the strict one.
"""

from __future__ import annotations

import logging
import random
import sys

from chalicelib.clock import HOUR
from tests.properties.simulation import Fate, Simulation, simulated_sleep

CYCLES = 10_000
CYCLES_OF_A_GRANT = 20
STEPS_OF_A_CYCLE = 16
TROUBLE = 0.2
"""In how many cycles something goes wrong."""


def lost(temperament: str, cycles: int, chance: random.Random) -> tuple[int, int, int]:
    """How many grants were lost, of how many, after how many troubles."""
    dead = grants = faults = 0
    for _ in range(0, cycles, CYCLES_OF_A_GRANT):
        world = Simulation(temperament, {}, accounts=1)
        grants += 1
        with simulated_sleep(world):
            for _ in range(CYCLES_OF_A_GRANT):
                world.steps, world.fates = 0, _fates(chance)
                world.need(world.accounts[0])
                world.clock += HOUR
            world.settle()
        faults += world.faults
        dead += not world.alive(world.accounts[0])
    return dead, grants, faults


def main(cycles: int = CYCLES) -> int:
    """Runs all three and prints what they cost."""
    logging.disable(logging.CRITICAL)
    worst = 0
    for temperament in ("microsoft", "google", "strict"):
        seed = random.SystemRandom().getrandbits(32)
        dead, grants, faults = lost(temperament, cycles, random.Random(seed))  # noqa: S311 - no secret
        print(f"{temperament:<10} {cycles} cycles, {faults} faults (seed {seed}): {dead} of {grants} lost")
        worst = worst or (dead if temperament != "strict" else 0)
    return 1 if worst else 0


def _fates(chance: random.Random) -> dict[int, Fate]:
    if chance.random() > TROUBLE:
        return {}
    return {chance.randint(1, STEPS_OF_A_CYCLE): chance.choice((Fate.DIE, Fate.FAIL))}


if __name__ == "__main__":
    sys.exit(main(*(int(text) for text in sys.argv[1:2])))
