"""Until when a package for this Python can be deployed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from cli.package import NEWEST_PYTHON
from cli.runtimes import LAST_UPDATE, TOLD_BEFORE, require_updatable
from cli.trouble import Trouble

DAY = timedelta(days=1)


@pytest.mark.parametrize("version", LAST_UPDATE)
def test_uf10_the_end_of_a_runtime_is_told_for_a_year_and_then_refused(version: tuple[int, int]) -> None:
    last, said = LAST_UPDATE[version], list[str]()

    require_updatable(said.append, version, last - TOLD_BEFORE - DAY)
    assert said == []

    require_updatable(said.append, version, last - DAY)
    assert f"from {last} on" in said[0]
    assert "PYTHON=python3.13" in said[0]

    with pytest.raises(Trouble, match=f"since {last}") as refused:
        require_updatable(said.append, version, last)
    assert "PYTHON=python3.13" in refused.value.fix


def test_uf10_python_3_11_can_be_deployed_until_the_end_of_august_2027() -> None:
    assert LAST_UPDATE[3, 11] == date(2027, 8, 31)


def test_uf10_each_older_python_that_builds_has_its_end() -> None:
    assert {(3, 11), (3, 12), (3, 13), (3, 14)} <= LAST_UPDATE.keys()
    assert max(LAST_UPDATE) <= NEWEST_PYTHON


def test_uf10_what_is_newer_than_the_table_is_taken() -> None:
    require_updatable(lambda _: pytest.fail("nothing is known of it"), NEWEST_PYTHON, date(2040, 1, 1))
