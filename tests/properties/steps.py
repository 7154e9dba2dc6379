"""Actors that go on step by step: each runs in a thread of its own, and only one of them at a time.

An actor stops before everything that it asks of others. Whoever drives it says how far it goes on, whether it
dies there, and which of its requests to AWS fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from chalicelib.errors import MailgrantError, Unavailable

FAR = 100_000
"""More steps than any actor takes."""

Fault = Literal["refused", "lost", "twice", "late"]
"""What AWS does with a step: refuses it, does it and says nothing, or does it for each of two requests.

`late`: the second of them is one that the client had given up, and that arrives LATE steps afterwards.
"""
LATE = 4


class Died(BaseException):
    """SIGKILL, as far as a thread can have it: nothing that is asked afterwards is done."""


class Actor(threading.Thread):
    """Work that goes on only as far as it is let."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.answered = False
        self.failed: BaseException | None = None
        self.over = False
        self.faults: list[Fault] = []
        self._late: list[tuple[int, Callable[[], object]]] = []
        self._steps = self._taken = 0
        self._to: str | None = None
        self._dead = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)

    def run(self) -> None:
        self._go.acquire()
        try:
            self.work()
            self.answered = True
        except (Died, MailgrantError):
            pass
        except BaseException as error:  # noqa: BLE001 - shown by whoever let it go on
            self.failed = error
        self.over = True
        self._stopped.release()

    def go(self, to: str | int = FAR) -> None:
        """Lets it go on for so many steps, or up to the next step of that name."""
        self._steps, self._to = (to, None) if isinstance(to, int) else (FAR, to)
        self._go.release()
        self._stopped.acquire()
        if self.failed is not None:
            raise self.failed

    def die(self) -> None:
        self._dead = True
        self.go()

    def gate(self, step: str) -> None:
        """Stops here if it was let go no further."""
        if (self._steps == 0 or step == self._to) and not self._dead:
            self._stopped.release()
            self._go.acquire()
        self._steps -= 1
        if self._dead:
            raise Died
        self._taken += 1
        while self._late and self._late[0][0] <= self._taken:
            self._late.pop(0)[1]()

    def arrives_late(self, request: Callable[[], object]) -> None:
        """Has it done some steps later, whoever has done what meanwhile."""
        self._late.append((self._taken + LATE, request))


def stop(step: str) -> Actor | None:
    """The actor that came to the step and may go on; None for whoever is no actor."""
    actor = threading.current_thread()
    if not isinstance(actor, Actor):
        return None
    actor.gate(step)
    return actor


class Stepping:
    """A service of AWS: each operation is a step, never interrupted itself, that may fail."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._service, name)
        if not callable(operation):
            return operation

        def stepping(*arguments: Any, **named: Any) -> Any:
            actor = stop(name)
            fault = actor.faults.pop(0) if actor and actor.faults else None
            if fault == "refused":
                raise Unavailable("AWS throttled the request.", fix="Wait.")
            answer = operation(*arguments, **named)
            if fault == "lost":
                raise Unavailable("AWS did not answer.", fix="Wait.")
            if fault == "late" and actor:
                actor.arrives_late(partial(operation, *arguments, **named))
            return operation(*arguments, **named) if fault == "twice" else answer

        return stepping
