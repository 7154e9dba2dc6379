"""What is read from a page of the documentation: commands, inline code, links and anchors.

The convention: a block fenced as ``sh`` is run, command by command. Right before a block that needs AWS
itself or a console stands ``<!-- not run: the reason -->``; of such a block, as of inline code, it is only
checked that its commands and options exist.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = tuple(
    path.relative_to(ROOT)
    for folder in (".", "docs", "bench", ".github")
    for path in sorted((ROOT / folder).glob("*.md"))
)
SHELL: Final = "sh"

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page, and why it is not run, if so."""

    text: str
    not_run: str


def commands(page: Path) -> list[Command]:
    """The commands of the page's shell blocks, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Command(command, _reason(text[: block.start()]))
        for block in _FENCE.finditer(text)
        if block["language"] == SHELL
        for command in _split(block["body"].splitlines())
    ]


def spans(page: Path) -> list[str]:
    """The page's inline code."""
    return _SPAN.findall(prose(page))


def links(page: Path) -> list[str]:
    """Where the page's links and pictures lead."""
    return _LINK.findall(_SPAN.sub("", prose(page)))


def anchors(page: Path) -> list[str]:
    """What a link can lead to on the page, by GitHub's rule."""
    found = [_anchor(heading) for heading in _HEADING.findall(prose(page))]
    return [
        f"{one}-{before}" if (before := found[:place].count(one)) else one for place, one in enumerate(found)
    ]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def programs(command: str) -> Iterator[list[str]]:
    """The words of each program that a command starts, without comments and redirections."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            yield words
            words = []
        else:
            words.append(word)


def after(words: Iterable[str], program: str) -> list[str] | None:
    """The words that follow the program's name, or None where it is not there."""
    listed = list(words)
    return listed[listed.index(program) + 1 :] if program in listed else None


def _split(lines: list[str]) -> Iterator[str]:
    """The commands of a block."""
    text = ""
    for line in lines:
        text += f"{line}\n"
        if line.endswith("\\") or not _is_whole(text):
            continue
        if shlex.split(text, comments=True):
            yield text.strip()
        text = ""
    if text:
        raise ValueError(f"this command has no end: {text}")


def _is_whole(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def _reason(before: str) -> str:
    """The reason that stands in the line before a block, if it is not run."""
    found = _NOT_RUN.fullmatch(before.rstrip("\n").rpartition("\n")[2].strip())
    return found[1] if found else ""


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
