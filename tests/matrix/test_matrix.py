"""The matrix tells gaps and strays from what is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import PAGES, ROOT
from tests.matrix.matrix import Row, matrix, printed, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CITATION = re.compile(r"\b([OVRFB])(\d{1,2})(?:-\1(\d{1,2}))?\b")
"""A row, or the first and the last one of several, as ``F01-F14``."""

ROWS = (
    Row("F03", "Faults", "Two requests make one message", required=True),
    Row("F37", "Faults", "A cancellation is true", required=False),
    Row("R2", "Refreshing", "A version only grows", required=True),
    Row("U-A1", "Text", "Text is text", required=False),
)


def cited(text: str) -> Iterator[str]:
    """The ids of the rows that the text names, without leading zeros; those within a range as well."""
    for letter, first, last in CITATION.findall(text):
        yield from (f"{letter}{number}" for number in range(int(first), int(last or first) + 1))


def test_the_rows_of_a_range_are_cited() -> None:
    assert list(cited("O1-O3, B09; F38 and (V6).")) == ["O1", "O2", "O3", "B9", "F38", "V6"]


def test_ug6_documents_cite_only_rows_that_are_shown() -> None:
    """That a required row is shown is what ``make matrix`` looks at."""
    required = {f"{row.id[0]}{int(row.id[1:])}" for row in read_rows() if row.required and "-" not in row.id}
    citations = {
        (str(page), row) for page in PAGES for row in cited((ROOT / page).read_text(encoding="utf-8"))
    }

    assert ("SECURITY.md", "O14") in citations
    assert sorted(citation for citation in citations if citation[1] not in required) == []


def test_a_row_is_shown_by_the_test_that_carries_its_id() -> None:
    found = matrix(ROWS, ["tests/a.py::test_F03_two_posts[one]", "tests/a.py::test_r02_a_late_save"])

    assert found.gaps == []
    assert found.shown == 2
    assert found.rows[0][1] == ("tests/a.py::test_F03_two_posts",)


def test_the_letter_of_a_kind_is_part_of_its_row() -> None:
    found = matrix(ROWS, ["tests/a.py::test_ua1_text", "tests/a.py::test_ub1_replies"])

    assert found.rows[3][1] == ("tests/a.py::test_ua1_text",)
    assert found.strays == ("tests/a.py::test_ub1_replies",)


def test_a_required_row_without_a_test_is_a_gap() -> None:
    found = matrix(ROWS, ["tests/a.py::test_R2_a_late_save"])

    assert found.gaps == ["F03"]
    assert any("MISSING" in line and "F03" in line for line in printed(found))


def test_a_test_of_a_row_that_does_not_exist_is_a_stray() -> None:
    found = matrix(ROWS, ["tests/a.py::test_F99_nothing", "tests/a.py::test_of_no_row"])

    assert found.strays == ("tests/a.py::test_F99_nothing",)


def test_every_row_has_one_line() -> None:
    rows = read_rows()

    assert len({row.id for row in rows}) == len(rows)
    assert {row.kind for row in rows} == {
        "Signing in at a provider",
        "The vault",
        "Refreshing",
        "Faults",
        "Bad input",
        "Text that a library interprets",
        "What servers and providers answer",
        "Tokens in trouble",
        "Mail in trouble",
        "Tests on a slow machine",
        "AWS as it is",
        "In a newcomer's hands",
        "Third-party servers and clients",
    }


def test_a_later_row_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.toml"
    path.write_text('later = ["F99"]\n[F]\nkind = "Faults"\n[F.rows]\n01 = "A promise"\n')

    with pytest.raises(ValueError, match="F99"):
        read_rows(path)
