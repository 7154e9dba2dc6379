"""The table of callers: one row each, found by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.aws.tables.table import Table
from chalicelib.callers.models import Caller, CallerKind, Scope, SendLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

WHAT = "The table of callers"


class CallersTable:
    """Keeps callers. API keys are in it only as hashes."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table, WHAT)

    def get(self, caller: str) -> Caller | None:
        """The caller with that id, read consistently."""
        row = self._table.get({"caller": caller})
        return _caller(row) if row else None

    def add(self, caller: Caller) -> bool:
        """Writes a new row; False when a live one with this id is there. A revoked one is replaced."""
        try:
            self._table.put(_row(caller), "attribute_not_exists(#caller) OR attribute_exists(#revoked_at)")
        except ConditionFailed:
            return False
        return True

    def all(self) -> list[Caller]:
        """Every caller, in no order. A scan: callers are few, and only an administrator lists them."""
        with translated(WHAT):
            scan = self._table.client.get_paginator("scan")
            pages = scan.paginate(TableName=self._table.name, ConsistentRead=True)
            return [_caller(from_item(item)) for page in pages for item in page["Items"]]

    def revoke(self, caller: str, at: int) -> Caller | None:
        """Writes `revoked_at` where there is none yet; returns the row, or None for an unknown caller."""
        try:
            with translated(WHAT):
                done = self._table.client.update_item(
                    TableName=self._table.name,
                    Key=to_item({"caller": caller}),
                    UpdateExpression="SET revoked_at = if_not_exists(revoked_at, :at)",
                    ConditionExpression="attribute_exists(caller)",
                    ExpressionAttributeValues=to_item({":at": at}),
                    ReturnValues="ALL_NEW",
                )
        except ConditionFailed:
            return None
        return _caller(from_item(done["Attributes"]))

    def limit(self, caller: str, changes: Mapping[str, Any]) -> Caller | None:
        """Replaces the limits that are named; returns the row, or None for an unknown caller."""
        try:
            before = self._table.update({"caller": caller}, dict(changes), "attribute_exists(#caller)")
        except ConditionFailed:
            return None
        return _caller({**before, **changes})


def _row(caller: Caller) -> dict[str, Any]:
    return {
        "caller": caller.id,
        "kind": caller.kind,
        "name": caller.name,
        "scopes": caller.scopes,
        "accounts": caller.accounts,
        "created_at": caller.created_at,
        "secret_hash": caller.secret_hash,
        "expires_at": caller.expires_at,
        "revoked_at": caller.revoked_at,
        "from_addresses": caller.limits.from_addresses,
        "reply_to_domains": caller.limits.reply_to_domains,
        "messages_per_minute": caller.limits.messages_per_minute,
    }


def _caller(row: Mapping[str, Any]) -> Caller:
    """The row as a caller; one that was written before there were limits has none."""
    return Caller(
        id=row["caller"],
        kind=CallerKind(row["kind"]),
        name=row["name"],
        scopes=frozenset(Scope(scope) for scope in row["scopes"]),
        accounts=frozenset(row["accounts"]),
        created_at=row["created_at"],
        secret_hash=row.get("secret_hash", ""),
        expires_at=row.get("expires_at"),
        revoked_at=row.get("revoked_at"),
        limits=SendLimits(
            frozenset(row.get("from_addresses", ())),
            frozenset(row.get("reply_to_domains", ())),
            row.get("messages_per_minute"),
        ),
    )
