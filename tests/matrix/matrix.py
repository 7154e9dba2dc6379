"""The rows of rows.toml, and which of the collected tests show them."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROWS = Path(__file__).with_name("rows.toml")

_NAMED = re.compile(r"test_([OVRFB]|U[A-H])(\d+)_", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A promise. A row that is `required` must be shown by a test."""

    id: str
    kind: str
    promise: str
    required: bool


@dataclass(frozen=True)
class Matrix:
    """Each row with the node ids of the tests that show it; `strays` name a row that does not exist."""

    rows: tuple[tuple[Row, tuple[str, ...]], ...]
    strays: tuple[str, ...]

    @property
    def gaps(self) -> list[str]:
        """The required rows that no test shows."""
        return [row.id for row, tests in self.rows if row.required and not tests]

    @property
    def shown(self) -> int:
        """How many rows a test shows."""
        return sum(bool(tests) for _, tests in self.rows)


def read_rows(path: Path = ROWS) -> tuple[Row, ...]:
    """The rows in the order of the file. Raises ValueError if one that comes later does not exist."""
    data = tomllib.loads(path.read_text())
    later = set(data.pop("later"))
    rows = tuple(
        Row(f"{letter}{number}", chapter["kind"], promise, f"{letter}{number}" not in later)
        for letter, chapter in data.items()
        for number, promise in chapter["rows"].items()
    )
    if unknown := later - {row.id for row in rows}:
        raise ValueError(f"{path.name}: there is no row {', '.join(sorted(unknown))}")
    return rows


def matrix(rows: Iterable[Row], tests: Iterable[str]) -> Matrix:
    """Which of the tests, given by node id, show which row. Case and leading zeros of its id do not count."""
    shown, strays = defaultdict(list), []
    known = {_plain(row.id): row for row in rows}
    for test in sorted(set(map(_without_parameters, tests))):
        if (found := _NAMED.match(test.rpartition("::")[2])) is None:
            continue
        key = _plain(found[1] + found[2])
        if key in known:
            shown[key].append(test)
        else:
            strays.append(test)
    return Matrix(tuple((row, tuple(shown[key])) for key, row in known.items()), tuple(strays))


def printed(found: Matrix) -> Iterable[str]:
    """The lines that a person reads."""
    kind = ""
    for row, tests in found.rows:
        if row.kind != kind:
            kind = row.kind
            yield f"\n{kind}"
        yield from _lines(row, tests)
    yield ""
    yield f"{found.shown} of {len(found.rows)} rows are shown."
    yield from (f"A test names a row that does not exist: {stray}" for stray in found.strays)
    if found.gaps:
        yield f"Rows that must be shown and are not: {', '.join(found.gaps)}"


def _lines(row: Row, tests: tuple[str, ...]) -> Iterable[str]:
    mark = "shown  " if tests else "MISSING" if row.required else "not yet"
    yield f"  {row.id:<5} {mark}  {row.promise}"
    yield from (f"                  {test.removeprefix('tests/')}" for test in tests)


def _plain(text: str) -> str:
    """F03, f3 and F3 are one row, and so are U-A1 and ua1."""
    letters = text.rstrip("0123456789")
    return f"{letters.replace('-', '').upper()}{int(text.removeprefix(letters))}"


def _without_parameters(test: str) -> str:
    return test.partition("[")[0]
