"""The table of rates: one row for each minute in which a caller with a limit has handed in messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.failures import ConditionFailed
from chalicelib.aws.tables.table import Table
from chalicelib.clock import MINUTE, SECOND

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = 60
"""Minutes after which DynamoDB may delete a row."""


class RatesTable:
    """Implements callers.rates.RateStore. A table of its own, since who counts may not write callers."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of rates")

    def count(self, caller: str, minute: int, limit: int) -> bool:
        """Adds one to the caller's messages of that minute; False when there are `limit` of them already."""
        try:
            self._table.update(
                {"caller": caller, "minute": minute},
                {"ttl": (minute + KEPT) * MINUTE // SECOND},
                "attribute_not_exists(#counted) OR #counted < :limit",
                add={"counted": 1},
                limit=limit,
            )
        except ConditionFailed:
            return False
        return True

    def give_back(self, caller: str, minute: int) -> None:
        """Takes one that was counted in that minute back."""
        self._table.update({"caller": caller, "minute": minute}, {}, add={"counted": -1})
