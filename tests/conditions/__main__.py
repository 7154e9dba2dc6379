"""Takes the condition of each conditional write away in turn; the test that map.toml names must fail then.

``--find`` tries the tests of tests/unit and tests/conditions and prints lines for map.toml.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.conditions.dropping import Dropping
from tests.conditions.map import Map
from tests.conditions.runs import FAILED, PASSED, Runs, run
from tests.conditions.written import writing_methods

Items = dict[str, pytest.Item]
"""The collected tests by node id."""


@dataclass
class Check:
    """Runs every mapped test as it is, and then without the condition that it is to defend."""

    known: Map
    dropping: Dropping
    faults: list[str] = field(default_factory=list)
    needed: int = 0

    def __call__(self, items: Items) -> None:
        """Fills `needed` and `faults`."""
        self.faults += self.known.faults(writing_methods())
        for test in sorted(set(self.known.tests.values())):
            if (found := self._run(items[test], None)) != PASSED:
                self.faults.append(f"{test}: {found}, with every condition in place")
        for write, test in self.known.tests.items():
            self._without(write, items[test])
        unknown = set(self.dropping.seen) - set(self.known.tests)
        self.faults += [f"{write}: a conditional write that map.toml does not know" for write in unknown]
        bare = self.dropping.bare - set(self.known.bare)
        self.faults += [
            f"{write}: a write without a condition, and map.toml does not say why" for write in bare
        ]

    def _without(self, write: str, item: pytest.Item) -> None:
        before = self.dropping.seen[write]
        found = self._run(item, write)
        if self.dropping.seen[write] == before:
            self.faults.append(f"{write}: {item.nodeid} does not make this write")
        elif found != FAILED:
            self.faults.append(f"{write}: {item.nodeid} {found} without the condition")
        elif (found := self._run(item, None)) != PASSED:
            self.faults.append(f"{write}: {item.nodeid} {found} with the condition too, when it runs again")
        else:
            self.needed += 1
            print(f"  {write:<42} {item.nodeid.removeprefix('tests/')}", flush=True)

    def _run(self, item: pytest.Item, drop: str | None) -> str:
        self.dropping.drop = drop
        return run(item)


@dataclass
class Find:
    """Looks for a test that fails without the condition, for each of the writes or for all that are seen."""

    dropping: Dropping
    wanted: Sequence[str]

    def __call__(self, items: Items) -> None:
        """Prints a line for each write."""
        makers = self._makers(items)
        for write in self.wanted or sorted(makers):
            tests = (name for name in makers[write] if self._defends(items[name], write))
            print(f'"{write}" = "{next(tests, "")}"', flush=True)

    def _defends(self, item: pytest.Item, write: str) -> bool:
        """Whether the test fails without the condition, and again passes with it: some pass only once."""
        self.dropping.drop = write
        failed = run(item) == FAILED
        self.dropping.drop = None
        return failed and run(item) == PASSED

    def _makers(self, items: Items) -> dict[str, list[str]]:
        """The tests that pass and make each write, those that make the fewest kinds of writes first."""
        seen: dict[str, set[str]] = {}
        for name, item in items.items():
            self.dropping.seen.clear()
            if run(item) == PASSED:
                seen[name] = set(self.dropping.seen)
        makers = defaultdict(list)
        for name in sorted(seen, key=lambda name: len(seen[name])):
            for write in seen[name]:
                makers[write].append(name)
        return makers


def main() -> int:
    """Reads the arguments; the exit status."""
    parser = argparse.ArgumentParser(prog="make conditions", description=__doc__)
    parser.add_argument("--find", nargs="*", metavar="WRITE")
    options = parser.parse_args()
    dropping, known = Dropping(), Map.read()
    if options.find is not None:
        return _session(dropping, Find(dropping, options.find), ["tests/unit", "tests/conditions"])
    check = Check(known, dropping)
    status = _session(dropping, check, sorted(set(known.tests.values())))
    for fault in check.faults:
        print(fault, file=sys.stderr)
    print(f"{check.needed} of {len(known.tests)} conditions are needed by a test.")
    return 1 if status or check.faults else 0


def _session(dropping: Dropping, work: Callable[[Items], None], tests: list[str]) -> int:
    runs = Runs(work)
    with dropping.installed():
        status = pytest.main(["-q", "-p", "no:cacheprovider", "--no-summary", *tests], plugins=[runs])
    return 0 if runs.collected and status == pytest.ExitCode.OK else 1


if __name__ == "__main__":
    sys.exit(main())
