"""Links inside the repository lead somewhere, from pages and from what the code says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.errors import DOCS, docs_of
from cli import trouble
from tests.docs.pages import PAGES, ROOT, anchors, commands, links, spans

SOURCES = ("app.py", "chalicelib", "cli", "sandbox", ".chalice", "mailgrant", "Makefile", "bench")
NAMED_FILE = re.compile(r"(?:chalicelib|cli|sandbox|tests|docs|bench|\.chalice|\.ci|\.github)/[\w./*-]+")
PLACES_OF_CODES = {"Trouble": 0, "_error": 0, "fail": 0, "fall_short": 0, "_refuse": 1}
"""Function → the place of its argument that is a code."""
NAMED = re.compile(r"\b(docs/[a-z-]+\.(?:md|schema\.json)|[A-Z]+\.md)(?:#([a-z0-9-]+))?")


def objection(page: Path, anchor: str) -> str | None:
    """What is wrong with a link to that place of a file of the repository."""
    if not (ROOT / page).exists():
        return f"there is no {page}"
    if anchor and anchor not in anchors(page):
        return f"{page} has no #{anchor}"
    return None


def files() -> Iterator[Path]:
    """The files in which the code may name a page."""
    for source in map(ROOT.joinpath, SOURCES):
        yield from [source] if source.is_file() else sorted(source.rglob("*"))


def named(path: Path) -> Iterator[tuple[str, str]]:
    """The pages and anchors that a file names."""
    if path.is_file() and "__pycache__" not in path.parts:
        yield from NAMED.findall(path.read_text(encoding="utf-8", errors="ignore"))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    inside = [link for link in links(page) if "://" not in link and not link.startswith("mailto:")]
    places = [link.partition("#")[::2] for link in inside]

    wrong = [
        why for path, anchor in places if (why := objection((page.parent / path) if path else page, anchor))
    ]

    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    """In inline code, and in what make is given; a file called example is one that the reader would write."""
    inline = [span for span in spans(page) if NAMED_FILE.fullmatch(span)]
    given = [word for command in commands(page) for word in NAMED_FILE.findall(command.text)]

    missing = [name for name in (*inline, *given) if "example" not in name and not any(ROOT.glob(name))]

    assert missing == []


def test_what_the_code_says_of_the_documentation_is_there() -> None:
    found = {place for path in files() for place in named(path)}

    wrong = [why for page, anchor in sorted(found) if (why := objection(Path(page), anchor))]

    assert ("docs/errors.md", "") in found
    assert wrong == []


def codes_told() -> Iterator[str]:
    """The codes of the errors that the command line and the sandbox tell; each links to its heading."""
    yield from (code for code, _ in (*trouble._BY_CLASS.values(), *trouble._BY_CODE.values()))
    for path in (*(ROOT / "cli").glob("*.py"), ROOT / "sandbox" / "aws" / "front.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                place = PLACES_OF_CODES.get(name, len(node.args))
                yield from (
                    str(one.value) for one in node.args[place : place + 1] if isinstance(one, ast.Constant)
                )


def test_every_error_of_the_command_line_links_to_its_heading() -> None:
    known = anchors(Path(DOCS))
    told = set(codes_told())

    assert {"usage", "unreachable", "aws_denied", "stack_busy", "method_not_allowed"} <= told
    assert sorted(code for code in told if docs_of(code).partition("#")[2] not in known) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    assert objection(Path("docs/nothing.md"), "") == "there is no docs/nothing.md"
    assert objection(Path("docs/errors.md"), "nothing") == "docs/errors.md has no #nothing"
    assert objection(Path("docs/errors.md"), "name-taken") is None
