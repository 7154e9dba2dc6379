"""What one accepted message, one relayed message, one session and one refresh ask of AWS.

``./mailgrant cost`` multiplies it by prices.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.run import Measured
    from bench.world import World

FILE = Path(__file__).parent / "units.json"

TABLES = ("accounts", "access-tokens", "grants", "lanes", "messages")


def row_bytes(world: World) -> dict[str, int]:
    """The longest row of each table, that of a message without its body."""
    scan = world.gateway.clients.dynamodb.get_paginator("scan")
    pages = {noun: scan.paginate(TableName=world.gateway.settings.table(noun)) for noun in TABLES}
    return {noun: max(_size(row) for page in found for row in page["Items"]) for noun, found in pages.items()}


def to_json(measured: Measured) -> dict[str, Any]:
    """As units.json has it: operations by what they are for, bytes of rows, and time in a function (ms).

    Times are without what providers and mail servers take, which `cost` adds.
    """
    relayed = measured.relay.operations
    return {
        "operations": {
            "accept": dict(sorted(measured.accept.operations.items())),
            "relay": dict(sorted(relayed.items())),
            "refresh": dict(sorted(measured.refresh.operations.items())),
        },
        "row_bytes": dict(measured.row_bytes),
        "milliseconds": {
            "accept": round(measured.accept.p50, 1),
            "relay": round(1000 / measured.relay.messages_per_s, 1),
            "refresh": round(60_000 / measured.refresh.per_minute[1] - 200, 1),
        },
    }


def _size(row: dict[str, Any]) -> int:
    """Bytes of names and values, as DynamoDB counts them or a little more."""
    return sum(len(name) + _value(value) for name, value in row.items() if name != "body")


def _value(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + _size(content)
    if kind == "L":
        return 3 + sum(1 + _value(one) for one in content)
    return len(content) if kind in ("S", "B") else len(str(content))
