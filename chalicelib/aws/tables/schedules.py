"""The table of schedules: one row each, with its last run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.tables.table import Table
from chalicelib.health import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_dynamodb import DynamoDBClient


class SchedulesTable:
    """Implements health.Schedules."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of schedules")

    def note(self, schedule: str, run: Run) -> None:
        """Replaces what is known of its last run; the later of two writes stays, whichever began first."""
        self._table.put({"schedule": schedule, "at": run.at, "seen": run.seen})

    def last(self, schedules: Iterable[str]) -> dict[str, Run]:
        """The last run of those that have ever come to an end."""
        rows = self._table.get_some([{"schedule": schedule} for schedule in schedules])
        return {row["schedule"]: Run(row["at"], row["seen"]) for row in rows}
