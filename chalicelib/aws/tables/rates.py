"""The table of rates: one row for each minute in which a caller with a limit has handed in messages."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from chalicelib.aws.failures import ConditionFailed
from chalicelib.aws.tables.codec import from_item
from chalicelib.aws.tables.table import Table
from chalicelib.clock import MINUTE, SECOND

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NONCE = 8
"""Bytes of chance by which a write knows that it was done."""

KEPT = 60
"""Minutes after which DynamoDB may delete a row."""


class RatesTable:
    """Implements callers.rates.RateStore. A table of its own, since who counts may not write callers."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, "The table of rates")

    def count(self, caller: str, minute: int, limit: int) -> bool:
        """Adds one to the caller's messages of that minute; False when there are `limit` of them already."""
        few = "(attribute_not_exists(#counted) OR #counted < :limit)"
        return self._add(caller, minute, 1, few, limit=limit)

    def give_back(self, caller: str, minute: int) -> None:
        """Takes one that was counted in that minute back."""
        self._add(caller, minute, -1, "attribute_exists(#counted)")

    def _add(self, caller: str, minute: int, count: int, condition: str, **values: int) -> bool:
        """Adds once: the client repeats a write whose answer was lost, which `last` then tells."""
        nonce = secrets.token_hex(NONCE)
        changes = {"ttl": (minute + KEPT) * MINUTE // SECOND, "last": nonce}
        try:
            self._table.update(
                {"caller": caller, "minute": minute},
                changes,
                f"{condition} AND (attribute_not_exists(#last) OR #last <> :nonce)",
                add={"counted": count},
                nonce=nonce,
                **values,
            )
        except ConditionFailed as failed:
            return failed.item is not None and from_item(failed.item).get("last") == nonce
        return True
