"""The matrix tells gaps and strays from what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.matrix.matrix import Row, matrix, printed, read_rows

if TYPE_CHECKING:
    from pathlib import Path

ROWS = (
    Row("F03", "Faults", "Two requests make one message", required=True),
    Row("F37", "Faults", "A cancellation is true", required=False),
    Row("R2", "Refreshing", "A version only grows", required=True),
    Row("U-A1", "Text", "Text is text", required=False),
)


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
