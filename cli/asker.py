"""Asks a person what a command needs to know; answers are used at once, and asked for again when refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from cli.api import ApiError, Unreachable
from cli.commands import tell_error
from cli.output import Out, visible

Used = TypeVar("Used")


class Asker:
    """Asks unless `yes`: then what no option gives is its default, or a UsageError that names the option."""

    def __init__(self, out: Out, *, yes: bool) -> None:
        self.yes = yes
        self._as_json = out.as_json

    def ask(
        self, question: str, option: str, given: str | None = None, default: str = "", *, hidden: bool = False
    ) -> str:
        """The answer: what was given as an option, else what the person types, else the default."""
        if given is not None:
            return given
        if not self.yes:
            typed = click.prompt(
                visible(question), default=default or None, hide_input=hidden, type=str, err=self._as_json
            )
            return str(typed).strip()
        if not default:
            raise click.UsageError(f"--yes asks nobody: add {option} ({question}).")
        return default

    def use(
        self,
        answer: Callable[[str | None], str],
        given: str | None,
        use: Callable[[str], Used],
    ) -> Used:
        """What `use` makes of the answer. While it refuses, the reason is told and the person asked again."""
        while True:
            try:
                return use(answer(given))
            except (ApiError, click.UsageError) as error:
                self.refused(error)
                given = None

    def refused(self, error: ApiError | Unreachable | click.UsageError) -> None:
        """Tells why an answer was refused; raises it where nobody can be asked again."""
        if self.yes:
            raise error
        found = error.error if isinstance(error, ApiError) else {}
        tell_error({"fix": found.get("fix", "")}, f"Refused: {error}", as_json=False)
        click.echo(err=True)

    def choose(self, question: str, choices: Sequence[str]) -> int:
        """The index of what the person chooses; the first is the default, also where nobody is asked."""
        if self.yes or len(choices) == 1:
            return 0
        for number, choice in enumerate(choices, 1):
            click.echo(f"  {number}  {visible(choice)}", err=self._as_json)
        numbers = click.IntRange(1, len(choices))
        return int(click.prompt(question, default=1, type=numbers, err=self._as_json)) - 1

    def pause(self, question: str) -> None:
        """Waits until the person has done something elsewhere."""
        if not self.yes:
            click.prompt(question, default="", show_default=False, err=self._as_json)

    def agree(self, question: str) -> bool:
        """Whether the person wants that; not where nobody is asked."""
        return not self.yes and click.confirm(question, default=True, err=self._as_json)
