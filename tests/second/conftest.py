"""The second emulator in the place of the first one, for the tests of stores that both run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.second.aws import SecondAws, started

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def aws() -> Iterator[SecondAws]:
    """What tests.unit calls so, at the second emulator."""
    yield from started()
