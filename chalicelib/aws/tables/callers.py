"""The table of callers: one row each, found by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.aws.tables.codec import from_item, to_item
from chalicelib.callers.models import Caller, CallerKind, Scope

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WHAT = "The table of callers"


class CallersTable:
    """Keeps callers. API keys are in it only as hashes."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, caller: str) -> Caller | None:
        """The caller with that id, read consistently."""
        with translated(WHAT):
            found = self._client.get_item(
                TableName=self._table, Key=to_item({"caller": caller}), ConsistentRead=True
            )
        return _caller(found["Item"]) if "Item" in found else None

    def add(self, caller: Caller) -> bool:
        """Writes a new row; False when a live one with this id is there. A revoked one is replaced."""
        try:
            with translated(WHAT):
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(_row(caller)),
                    ConditionExpression="attribute_not_exists(caller) OR attribute_exists(revoked_at)",
                )
        except ConditionFailed:
            return False
        return True

    def all(self) -> list[Caller]:
        """Every caller, in no order. A scan: callers are few, and only an administrator lists them."""
        with translated(WHAT):
            pages = self._client.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
            return [_caller(item) for page in pages for item in page["Items"]]

    def revoke(self, caller: str, at: int) -> Caller | None:
        """Writes `revoked_at` where there is none yet; returns the row, or None for an unknown caller."""
        try:
            with translated(WHAT):
                done = self._client.update_item(
                    TableName=self._table,
                    Key=to_item({"caller": caller}),
                    UpdateExpression="SET revoked_at = if_not_exists(revoked_at, :at)",
                    ConditionExpression="attribute_exists(caller)",
                    ExpressionAttributeValues=to_item({":at": at}),
                    ReturnValues="ALL_NEW",
                )
        except ConditionFailed:
            return None
        return _caller(done["Attributes"])


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
    }


def _caller(item: Any) -> Caller:
    row = from_item(item)
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
    )
