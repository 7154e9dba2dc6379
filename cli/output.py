"""How commands answer: for people as tables and sentences, for programs (``--json``) as the API's own JSON.

A terminal gets tables that fit it: long values are folded, and what is made for copying (ids, URLs) stays
in one piece. A pipe gets one line for each record and neither colors nor folds.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.routes import named

PIPED_WIDTH: Final = 100_000
"""Columns when the output is no terminal, so that nothing is folded."""

GAP: Final = 2

COLORS: Final = {
    "connected": "green",
    "sent": "green",
    "ok": "green",
    "pass": "green",
    "failed": "red",
    "unknown": "red",
    "refused": "red",
    "fail": "red",
    "misconfigured": "red",
    "blocked": "red",
    "needs_reconnect": "yellow",
    "held": "yellow",
    "warn": "yellow",
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
        *,
        none: str = "none",
    ) -> None:
        """A list of records. On a terminal the field `below` has a line of its own under each of them.

        Where there is no record, `none` says so, and what to do about it.
        """
        if self.as_json:
            return self._json(answer)
        if not rows:
            return self.say(none)
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
            message = folded(visible(diagnosis["message"]), sys.stdout)
            self._print(f"\n{click.style(message, fg='red')}")
            self.say(f"Fix: {named(diagnosis['fix'])}")

    def say(self, text: str) -> None:
        """A sentence for people; programs do not see it."""
        if not self.as_json:
            self._print(folded(visible(text), sys.stdout))

    def copy(self, text: str) -> None:
        """What people copy as it is: its lines are not folded. Programs do not see it."""
        if not self.as_json:
            self._print(visible(text))

    def tell(self, text: str) -> None:
        """A sentence that is needed while the command goes on, whatever the format of its answer."""
        stream = sys.stderr if self.as_json else sys.stdout
        click.echo(folded(visible(text), stream), file=stream)

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
        with self._console.capture() as kept:
            self._console.print(grid)
        # Without the blanks at the ends of its lines.
        click.echo("\n".join(line.rstrip() for line in kept.get().split("\n")), nl=False)

    def _print(self, text: str, *, dim: bool = False) -> None:
        """Prints a text as it is: where it is too long the terminal breaks it, and copies it in one piece."""
        click.echo(click.style(text, dim=True) if dim else text)


def visible(text: str) -> str:
    """The text without what a terminal would obey instead of show."""
    return _DECEIVING.sub("\ufffd", text)


def folded(text: str, stream: TextIO) -> str:
    """The text in lines that fit the terminal, broken between words; unchanged where the stream is none."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(_folded_line(line, width) for line in text.split("\n"))


def moment(shown: str) -> str:
    """A time of the API (RFC 3339, UTC) to the second."""
    return shown.replace("T", " ").partition(".")[0] + "Z"


def _folded_line(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    # A word that is too long is a URL or an id: the terminal breaks it, and copies it in one piece.
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _widths(rows: Sequence[Sequence[Text]], width: int) -> list[int]:
    """The width of each column, so that together they fit: the widest one gives way first.

    A column breaks its words only when no column can give way any more without that.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(cell.cell_len for cell in column) for column in columns]
    words = [max(_longest_word(cell) for cell in column) for column in columns]
    room = width - GAP * (len(widths) - 1)
    while sum(widths) > max(room, len(widths)):
        loose = [place for place, word in enumerate(words) if widths[place] > word]
        widths[max(loose or range(len(widths)), key=widths.__getitem__)] -= 1
    return widths


def _longest_word(cell: Text) -> int:
    return max((word.cell_len for word in cell.split(" ")), default=0)


def _cell(field: str, value: Any) -> Text:
    if value is None:
        return Text("-", "dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list):
        return Text(visible(", ".join(str(one) for one in value)))
    if isinstance(value, dict):
        return Text(visible(", ".join(f"{name}={one}" for name, one in value.items())))
    text = moment(str(value)) if field.endswith("_at") else visible(str(value))
    return Text(text, COLORS.get(text, ""))
