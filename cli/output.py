"""How commands answer: for people as tables and sentences, for programs (``--json``) as the API's own JSON.

=========  ==================================================
exit code  meaning
=========  ==================================================
0          done
1          the API refused
2          the command was not understood
3          the API cannot be reached
4          the message that was followed failed, or is unknown
=========  ==================================================
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import config
from cli.api import Api, ApiError, Unreachable

REFUSED = 1
UNREACHABLE = 3
NOT_SENT = 4

PIPED_WIDTH = 200
"""Columns when the output is no terminal, so that a pipe loses nothing."""

COLORS = {
    "connected": "green",
    "sent": "green",
    "failed": "red",
    "unknown": "red",
    "misconfigured": "red",
    "blocked": "red",
    "needs_reconnect": "yellow",
    "held": "yellow",
    "deferred": "yellow",
    "disconnected": "yellow",
}
"""Status or state → color; the word itself is always there."""

Columns = Sequence[tuple[str, str]]
"""Field and heading."""


class Out:
    """Where answers go. `as_json` prints each answer as one JSON document and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        width = None if sys.stdout.isatty() else PIPED_WIDTH
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)

    def table(self, answer: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], columns: Columns) -> None:
        """A list of records."""
        if self.as_json:
            return self._json(answer)
        if not rows:
            return self._console.print("none")
        table = Table(box=None, pad_edge=False, header_style="bold")
        for field, heading in columns:
            table.add_column(heading, overflow="fold", no_wrap=field == "id")
        for row in rows:
            table.add_row(*(_cell(field, row.get(field)) for field, _ in columns))
        return self._console.print(table)

    def record(self, answer: Mapping[str, Any], fields: Columns) -> None:
        """One record, a line for each field that has a value."""
        if self.as_json:
            return self._json(answer)
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for field, heading in fields:
            if answer.get(field) not in (None, "", [], {}):
                table.add_row(heading, _cell(field, answer[field]))
        self._console.print(table)
        return self.problem(answer.get("problem"))

    def problem(self, diagnosis: Mapping[str, Any] | None) -> None:
        """A diagnosis with its fix; nothing for None."""
        if diagnosis and not self.as_json:
            self._console.print(
                Text(f"\n{diagnosis['message']}", "red"), Text(f"Fix: {diagnosis['fix']}"), sep="\n"
            )

    def say(self, text: str) -> None:
        """A sentence for people; programs do not see it."""
        if not self.as_json:
            self._console.print(text, soft_wrap=True)

    def answer(self, answer: Mapping[str, Any], text: str) -> None:
        """An answer that is one sentence for people."""
        if self.as_json:
            return self._json(answer)
        return self.say(text)

    def entries(self, answer: Mapping[str, Any], entries: Sequence[tuple[str, str, str]]) -> None:
        """Entries of two lines: a state with a sentence, and below it an id that must stay in one piece."""
        if self.as_json:
            return self._json(answer)
        if not entries:
            return self._console.print("none")
        for state, sentence, id_ in entries:
            line = Text.assemble((f"{state:10}", COLORS.get(state, "")), sentence)
            self._console.print(line, Text(f"          {id_}", "dim"), sep="\n", soft_wrap=True)
        return None

    def _json(self, answer: Mapping[str, Any]) -> None:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


class Commands(click.Group):
    """Commands whose misuse is told as JSON too where JSON is wanted."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Runs the command that the arguments name, and exits."""
        given = list(sys.argv[1:] if args is None else args)
        if "--json" not in given:
            return super().main(given, *rest, **options)
        try:
            code = super().main(given, *rest, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            _print_error("usage", error.format_message(), "Add --help to see how the command is used.")
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(REFUSED)
        sys.exit(code or 0)


def asking(command: Callable[..., int | None]) -> Callable[..., None]:
    """A command that asks the API: adds ``--json``, hands it an Api and an Out, and says what went wrong.

    The command may return an exit code.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print the API's JSON instead of text.")
    @functools.wraps(command)
    def asked(*, as_json: bool, **arguments: Any) -> None:
        out = Out(as_json=as_json)
        settings = config.load()
        try:
            code = command(Api(settings), out, **arguments)
        except ApiError as error:
            refuse(error, as_json=as_json)
        except Unreachable as error:
            cannot_reach(error, settings.url, as_json=as_json)
        except UnicodeEncodeError as error:
            raise click.UsageError("An argument is not text in UTF-8.") from error
        else:
            sys.exit(code or 0)

    return asked


def refuse(error: ApiError, *, as_json: bool) -> None:
    """Says what the API refused and why, and exits."""
    if as_json:
        click.echo(json.dumps({"error": dict(error.error)}, indent=2, ensure_ascii=False))
        sys.exit(REFUSED)
    click.secho(f"Refused: {error}", fg="red", err=True)
    for name, label in (("field", "Field"), ("fix", "Fix"), ("code", "Code")):
        if error.error.get(name):
            click.echo(f"{label}: {error.error[name]}", err=True)
    sys.exit(REFUSED)


def cannot_reach(error: Unreachable, url: str, *, as_json: bool) -> None:
    """Says that no answer could be had, and exits."""
    if as_json:
        _print_error("unreachable", f"Cannot reach {url}: {error}.", "Check the URL and the network.")
    else:
        click.secho(f"Cannot reach {url}: {error}.", fg="red", err=True)
    sys.exit(UNREACHABLE)


def _print_error(code: str, message: str, fix: str) -> None:
    """An error of the command line itself, in the shape of the API's."""
    error = {"code": code, "message": message, "fix": fix, "docs": f"docs/errors.md#{code}"}
    click.echo(json.dumps({"error": error}, indent=2, ensure_ascii=False))


def _cell(field: str, value: Any) -> Text:
    if value is None:
        return Text("-", "dim")
    if isinstance(value, list):
        return Text(", ".join(str(one) for one in value))
    text = str(value)
    if field.endswith("_at"):
        text = text.replace("T", " ").partition(".")[0]
    return Text(text, COLORS.get(text, ""))
