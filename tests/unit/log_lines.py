"""What the product's loggers say while a test runs, as the lines that a deployment would have."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.logs import ROOT, JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGE = "unit"


class Lines:
    """The lines so far."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.name_people(allowed=False)

    def name_people(self, *, allowed: bool) -> None:
        """Whether the lines from here on may name people."""
        self.handler.setFormatter(JsonFormatter(STAGE, personal=allowed))

    @property
    def text(self) -> str:
        """All lines as they stand in the log."""
        return self._stream.getvalue()

    def all(self, event: str | None = None, **facts: Any) -> list[dict[str, Any]]:
        """The lines of an event that have these facts."""
        lines = [json.loads(line) for line in self.text.splitlines()]
        named = [line for line in lines if event in (None, line["event"])]
        return [line for line in named if facts.items() <= line.items()]

    def figures(self) -> list[tuple[str, Any]]:
        """Every figure with its value, in the order in which they were told."""
        return [
            (metric["Name"], line[metric["Name"]])
            for line in self.all()
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", ())
            for metric in directive["Metrics"]
        ]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The log of this test."""
    lines, logger = Lines(), logging.getLogger(ROOT)
    level = logger.level
    logger.addHandler(lines.handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(lines.handler)
    logger.setLevel(level)
