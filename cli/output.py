"""How commands answer: for people as tables and sentences, for programs (``--json``) as the API's own JSON.

A terminal gets tables that fit it: long values are folded, and what is made for copying (ids, URLs) stays
in one piece. A pipe gets one line for each record and neither colors nor folds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

PIPED_WIDTH: Final = 100_000
"""Columns when the output is no terminal, so that nothing is folded."""

GAP: Final = 2

COLORS: Final = {
    "connected": "green",
    "sent": "green",
    "ok": "green",
    "failed": "red",
    "unknown": "red",
    "refused": "red",
    "misconfigured": "red",
    "blocked": "red",
    "needs_reconnect": "yellow",
    "held": "yellow",
    "deferred": "yellow",
    "paused": "yellow",
    "disconnected": "yellow",
}
"""Status or state → color; the word itself is always there."""

_DECEIVING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What would steer the terminal, or turn the text around: names and mail servers' replies may hold it."""

Columns = Sequence[tuple[str, str]]
"""Field and heading."""


class Out:
    """Where answers go. `as_json` prints each answer as one JSON document and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.on_terminal = sys.stdout.isatty()
        width = None if self.on_terminal else PIPED_WIDTH
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)

    def table(
        self,
        answer: Mapping[str, Any],
        rows: Sequence[Mapping[str, Any]],
        columns: Columns,
        below: str | None = None,
    ) -> None:
        """A list of records. On a terminal the field `below` has a line of its own under each of them."""
        if self.as_json:
            return self._json(answer)
        if not rows:
            return self._print("none")
        if below and not self.on_terminal:
            columns, below = [(below, below.upper()), *columns], None
        cells = [[_cell(field, row.get(field)) for field, _ in columns] for row in rows]
        headings = [Text(heading, "bold") for _, heading in columns]
        widths = _widths([headings, *cells], self._console.width)
        self._row(headings, widths)
        for row, shown in zip(rows, cells, strict=True):
            self._row(shown, widths)
            if below:
                self._print(f"    {visible(str(row[below]))}", dim=True)
        return None

    def record(self, answer: Mapping[str, Any], fields: Columns) -> None:
        """One record, a line for each field that has a value, and its problem."""
        if self.as_json:
            return self._json(answer)
        shown = [
            (heading, _cell(field, answer[field]))
            for field, heading in fields
            if answer.get(field) not in (None, "", [], {})
        ]
        self.pairs(shown)
        return self.problem(answer.get("problem"))

    def pairs(self, shown: Sequence[tuple[str, Text]]) -> None:
        """Headings and values. A value that does not fit and cannot be folded well has lines of its own."""
        label = max((len(heading) for heading, _ in shown), default=0)
        room = self._console.width - label - GAP
        apart = [pair for pair in shown if pair[1].cell_len > room and " " not in pair[1].plain]
        for heading, value in shown:
            if (heading, value) not in apart:
                self._row([Text(heading, "bold"), value], [label, max(room, 1)])
        for heading, value in apart:
            self._print(f"{heading}:\n{value.plain}")

    def problem(self, diagnosis: Mapping[str, Any] | None) -> None:
        """A diagnosis with its fix; nothing for None."""
        if diagnosis and not self.as_json:
            self._lines(Text(f"\n{visible(diagnosis['message'])}", "red"))
            self._lines(Text(f"Fix: {visible(diagnosis['fix'])}"))

    def say(self, text: str) -> None:
        """A sentence for people; programs do not see it."""
        if not self.as_json:
            self._print(visible(text))

    def tell(self, text: str) -> None:
        """A sentence that is needed while the command goes on, whatever the format of its answer."""
        click.echo(visible(text), err=self.as_json)

    def answer(self, answer: Mapping[str, Any], text: str) -> None:
        """An answer that is one sentence for people."""
        if self.as_json:
            return self._json(answer)
        return self.say(text)

    def _json(self, answer: Mapping[str, Any]) -> None:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))

    def _row(self, cells: Sequence[Text], widths: Sequence[int]) -> None:
        grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        for width in widths:
            grid.add_column(width=width, overflow="fold")
        grid.add_row(*cells)
        self._lines(grid)

    def _lines(self, shown: RenderableType) -> None:
        """Prints what folds itself, without the blanks at the ends of its lines."""
        with self._console.capture() as kept:
            self._console.print(shown)
        click.echo("\n".join(line.rstrip() for line in kept.get().split("\n")), nl=False)

    def _print(self, text: str, *, dim: bool = False) -> None:
        """Prints a text as it is: where it is too long the terminal breaks it, and copies it in one piece."""
        click.echo(click.style(text, dim=True) if dim else text)


def visible(text: str) -> str:
    """The text without what a terminal would obey instead of show."""
    return _DECEIVING.sub("\ufffd", text)


def moment(shown: str) -> str:
    """A time of the API (RFC 3339, UTC) to the second."""
    return shown.replace("T", " ").partition(".")[0] + "Z"


def _widths(rows: Sequence[Sequence[Text]], width: int) -> list[int]:
    """The width of each column, so that together they fit: the widest one gives way first."""
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    room = width - GAP * (len(widths) - 1)
    while sum(widths) > max(room, len(widths)):
        widths[widths.index(max(widths))] -= 1
    return widths


def _cell(field: str, value: Any) -> Text:
    if value is None:
        return Text("-", "dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list):
        return Text(visible(", ".join(str(one) for one in value)))
    text = moment(str(value)) if field.endswith("_at") else visible(str(value))
    return Text(text, COLORS.get(text, ""))
