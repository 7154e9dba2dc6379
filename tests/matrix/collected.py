"""What pytest collects, asked of pytest itself."""

from __future__ import annotations

import contextlib
import io

import pytest


class _Items:
    def __init__(self) -> None:
        self.ids: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.ids = [item.nodeid for item in session.items if not item.get_closest_marker("skip")]


def collected(*arguments: str) -> list[str]:
    """The node ids of the tests that would run. Raises RuntimeError, with pytest's words, if it cannot."""
    items, said = _Items(), io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main(["--collect-only", "-q", *arguments], plugins=[items])
    if status != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests cannot be collected:\n{said.getvalue()}")
    return items.ids
