"""Whether a command that is not run would be understood: commands, options and make's targets exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli.main import main
from tests.docs.pages import ROOT, after, programs

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGETS = frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def objections(command: str) -> Iterator[str]:
    """What is wrong with a command line."""
    for words in programs(command):
        if (arguments := after(words, "./mailgrant")) is not None:
            yield from _misunderstood(arguments)
        if words[:1] == ["make"]:
            wanted = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
            yield from (f"there is no make {target}" for target in sorted(wanted - TARGETS))


def _misunderstood(words: Sequence[str]) -> Iterator[str]:
    """What click has against the words after ``mailgrant``; whether something is missing is not asked."""
    command: click.Command = main
    context = click.Context(main, info_name="mailgrant")
    try:
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name, found, words = command.resolve_command(context, list(words))
            assert found is not None, "click raises UsageError for a command that it does not know"
            command, context = found, click.Context(found, parent=context, info_name=name)
        given, _, _ = command.make_parser(context).parse_args(list(words))
        for option in command.params:
            if isinstance(option.type, click.Choice) and (value := given.get(option.name or "")):
                for one in value if isinstance(value, list) else [value]:
                    option.type.convert(one, option, context)
    except click.UsageError as error:
        yield f"{error.format_message()} ({command.name})"
