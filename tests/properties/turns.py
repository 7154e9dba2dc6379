"""Workers of a simulation: each a thread, of which one at a time runs until it hands on its turn.

Time is simulated. It passes with each step, and jumps where all who are left sleep. Not one with steps.py:
there whoever drives chooses each step as it comes, and moves the clock; here who sleeps hands on, by time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

STEP = 40
"""Milliseconds that each step takes."""
THREADS = ThreadPoolExecutor(8)
"""As many workers as a history may have."""


class Died(BaseException):
    """The process is gone."""


@dataclass(eq=False)
class Worker:
    """A process. `ends_at` is when its time is over: then it dies, wherever it is."""

    work: Callable[[], object]
    wakes_at: int
    ends_at: int
    paused: int = 0
    """Milliseconds that it was stopped for, all in all."""
    died: bool = False
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Turns:
    """The clock, and whose turn it is."""

    def __init__(self, begin: int) -> None:
        self.clock = begin
        self.current: Worker | None = None
        self._here: list[Worker] = []
        self._switches: Mapping[int, int] = {}
        self._taken = 0

    def now(self) -> int:
        """The simulated time, in milliseconds."""
        return self.clock

    def play(self, workers: Iterable[Worker], switches: Mapping[int, int]) -> None:
        """Runs all to their ends. `switches` says at which step the turn goes to whom.

        Elsewhere the one whose turn it is goes on until it sleeps or ends. Raises what a worker raised.
        """
        self._here, self._switches, self._taken = list(workers), switches, 0
        lives = [THREADS.submit(self._live, worker) for worker in self._here]
        self._choose(0).turn.release()
        for life in lives:
            life.result()
        self.current = None

    def alone(self, worker: Worker) -> None:
        """Runs one, in this thread."""
        self._here, self._switches, self.current = [worker], {}, worker
        self._work(worker)
        self.current = None

    def step(self) -> None:
        """The current worker does something that others see: time passes, and it may have to wait."""
        self.clock += STEP
        self._taken += 1
        if self._taken in self._switches:
            self._hand_on(self._switches[self._taken])
        self._die_in_time()

    def sleep(self, milliseconds: int) -> None:
        """The current worker sleeps."""
        me = self._me()
        me.wakes_at = self.clock + milliseconds
        self._hand_on(self._here.index(me) + 1)
        self._die_in_time()

    def pause(self, milliseconds: int) -> None:
        """The current worker is stopped, and does not know it."""
        self._me().paused += milliseconds
        self.sleep(milliseconds)

    def die(self) -> None:
        """The current worker's process is gone."""
        self._me().died = True
        raise Died

    def _me(self) -> Worker:
        assert self.current is not None
        return self.current

    def _die_in_time(self) -> None:
        if self.clock >= self._me().ends_at:
            self.die()

    def _hand_on(self, number: int) -> None:
        me, chosen = self._me(), self._choose(number)
        if chosen is not me:
            chosen.turn.release()
            me.turn.acquire()
            self.current = me

    def _choose(self, number: int) -> Worker:
        """The first from that place on who is awake; time passes where nobody is."""
        in_order = [self._here[(number + place) % len(self._here)] for place in range(len(self._here))]
        self.clock = max(self.clock, min(worker.wakes_at for worker in in_order))
        return next(worker for worker in in_order if worker.wakes_at <= self.clock)

    def _live(self, worker: Worker) -> None:
        worker.turn.acquire()
        self.current = worker
        try:
            self._work(worker)
        finally:
            place = self._here.index(worker)
            self._here.remove(worker)
            if self._here:
                self._choose(place).turn.release()

    @staticmethod
    def _work(worker: Worker) -> None:
        try:
            worker.work()
        except Died:
            assert worker.died
