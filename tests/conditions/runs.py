"""Runs single tests many times in one pytest session, so that its servers start once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from types import FrameType

    import pytest

SECONDS = 20
"""How long one test may take."""

PASSED, FAILED, BROKEN, HUNG = "passed", "failed", "broken", "hung"


class Runs:
    """A pytest plugin that hands the collected tests to `work` instead of running them."""

    def __init__(self, work: Callable[[dict[str, pytest.Item]], None]) -> None:
        self._work = work
        self.collected = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Says by its result that the tests were run."""
        self.collected = not session.testsfailed
        if self.collected:
            self._work({item.nodeid: item for item in session.items})
        return True


def run(item: pytest.Item) -> str:
    """Runs a test: PASSED, FAILED by the test itself, BROKEN by a fixture (or skipped), or HUNG."""
    hung = False

    def give_up(_: int, __: FrameType | None) -> None:
        nonlocal hung
        hung = True
        raise TimeoutError(f"longer than {SECONDS} s")

    with _alarm(give_up):
        # The "next item" is the session, so that all but the session's fixtures end here.
        reports = runtestprotocol(item, log=False, nextitem=cast("pytest.Item", item.session))
    if hung:
        return HUNG
    outcomes = {report.when: report.outcome for report in reports}
    if outcomes.get("call") == "failed":
        return FAILED
    return PASSED if set(outcomes.values()) == {"passed"} else BROKEN


@contextmanager
def _alarm(act: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, act)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
