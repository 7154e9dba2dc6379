"""A clock that moves by waiting only."""

from __future__ import annotations

import time as real


class Time:
    """Stands in for the module `time` (seconds); a wait takes no time of the test."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """The present time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Puts the clock forward."""
        self.now += seconds

    def time_ns(self) -> int:
        """A number that does not come twice: names are made of it."""
        return real.time_ns()
