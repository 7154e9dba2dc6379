"""Asks a person what a command needs to know; answers are used at once, and asked for again when refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from cli.api import ApiError, Unreachable
from cli.commands import unseen
from cli.output import Out, visible

Used = TypeVar("Used")


class Asker:
    """Asks, unless with `yes` or where nobody sits at a terminal (`silent`).

    Then what no option gives is its default, or a UsageError that names the option, and what is refused is
    raised.
    """

    def __init__(self, out: Out, *, yes: bool) -> None:
        self.silent = yes or not at_terminal()
        self._out = out
        self._because = "--yes asks nobody" if yes else "Nobody can be asked, as the input is no terminal"

    def ask(
        self, question: str, option: str, given: str | None = None, default: str = "", *, hidden: bool = False
    ) -> str:
        """The answer: what was given as an option, else what the person types, else the default.

        A hidden answer is not shown, and neither is its default.
        """
        if given is not None:
            return given.strip()
        if not self.silent:
            typed: str = click.prompt(
                visible(question),
                default=default or None,
                hide_input=hidden,
                show_default=not hidden,
                type=str,
            )
            return typed.strip()
        if not default:
            raise self._missing(option, question)
        return default

    def secret(self, question: str) -> str:
        """What a person types unseen; where nobody is asked, the next line of standard input."""
        return unseen(question) if self.silent else self.ask(f"{question} (hidden)", "", hidden=True)

    def use(self, answer: Callable[[str | None], str], given: str | None, use: Callable[[str], Used]) -> Used:
        """What `use` makes of the answer. While it refuses, the reason is told and the person asked again."""
        while True:
            try:
                return use(answer(given))
            except (ApiError, click.UsageError) as error:
                self.refused(error)
                given = None

    def refused(self, error: ApiError | Unreachable | click.UsageError) -> None:
        """Tells why an answer was refused; raises it where nobody can be asked again."""
        if self.silent:
            raise error
        fix = error.error.get("fix") if isinstance(error, ApiError) else None
        self._out.problem({"message": str(error), "fix": fix or "Try again, or end with Ctrl-C."})
        self._out.say("")

    def choose(self, question: str, choices: Sequence[str], option: str | None = None) -> int:
        """The index of what the person chooses; the first is the default.

        Where nobody is asked it is the first too, or a UsageError that names the `option` which chooses.
        """
        if len(choices) == 1 or (self.silent and option is None):
            return 0
        if self.silent:
            raise self._missing(option, question)
        for number, choice in enumerate(choices, 1):
            self._out.say(f"  {number}  {choice}")
        return int(click.prompt(question, default=1, type=click.IntRange(1, len(choices)))) - 1

    def pause(self, question: str) -> None:
        """Waits until the person has done something elsewhere."""
        if not self.silent:
            click.prompt(question, default="", show_default=False)

    def agree(self, question: str, *, usual: bool = True) -> bool:
        """Whether the person wants that; not where nobody is asked."""
        return not self.silent and click.confirm(question, default=usual)

    def _missing(self, option: str | None, question: str) -> click.UsageError:
        return click.UsageError(f"{self._because}: add {option} ({question}).")


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()
