"""One DynamoDB table: reads, conditional writes, and the parts of transactions."""

from __future__ import annotations

import random
import re
from dataclasses import fields
from time import sleep
from typing import TYPE_CHECKING, Any

from chalicelib.aws.failures import ConditionFailed, translated, unavailable
from chalicelib.aws.tables.codec import from_item, to_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

Row = dict[str, Any]
Part = dict[str, Any]
"""One part of a transaction, as TransactWriteItems takes it."""

BATCH = 100
"""Rows that DynamoDB reads in one request (BatchGetItem)."""
BATCH_TRIES = 5
FIRST_PAUSE = 0.1
"""Seconds, at most, before what DynamoDB has handed back is asked for again; each further pause is twice as
long. Their lengths are chance, so that readers who were refused together do not come back together."""

_NAME = re.compile(r"#(\w+)")


class Table:
    """A table and its name. `what` names it for people, as in "The table of grants".

    In conditions every attribute is written ``#name`` and every value ``:name``: so many names are reserved
    words of DynamoDB that none is written plainly.
    """

    def __init__(self, client: DynamoDBClient, name: str, what: str) -> None:
        self.client = client
        self.name = name
        self.what = what

    def get(self, key: Row) -> Row | None:
        """The row with that key, read consistently."""
        with translated(self.what):
            found = self.client.get_item(TableName=self.name, Key=to_item(key), ConsistentRead=True)
        return from_item(found["Item"]) if "Item" in found else None

    def get_some(self, keys: Sequence[Row]) -> list[Row]:
        """The rows that exist of at most BATCH keys, read consistently, in no order. Raises Unavailable."""
        return read_some(self.client, self.what, {self.name: keys})[self.name] if keys else []

    def scan(self, limit: int, after: Row | None) -> tuple[list[Row], Row | None]:
        """At most `limit` rows after that key in the table's order, read consistently, and where to go on.

        That is the key of the last one, or None where there are no more.
        """
        place: dict[str, Any] = {"ExclusiveStartKey": to_item(after)} if after else {}
        with translated(self.what):
            answer = self.client.scan(TableName=self.name, Limit=limit, ConsistentRead=True, **place)
        last = answer.get("LastEvaluatedKey")
        return [from_item(item) for item in answer["Items"]], from_item(last) if last else None

    def put(self, row: Row, condition: str = "", **values: Any) -> None:
        """Writes a row. Raises ConditionFailed.

        The client repeats a put whose answer was lost: the row that is there already is the one it wrote.
        """
        request = self._put(row, condition, values)
        try:
            with translated(self.what):
                self.client.put_item(**request, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except ConditionFailed as failed:
            if failed.item != request["Item"]:
                raise

    def update(
        self, key: Row, changes: Row, condition: str = "", *, add: Row | None = None, **values: Any
    ) -> Row:
        """Sets attributes (a None removes one), adds to numbers, and returns the row as it was before.

        Raises ConditionFailed, with the row that was there.
        """
        request = self._update(key, changes, condition, values, add or {})
        with translated(self.what):
            answer = self.client.update_item(
                **request, ReturnValues="ALL_OLD", ReturnValuesOnConditionCheckFailure="ALL_OLD"
            )
        return from_item(answer.get("Attributes", {}))

    def delete(self, key: Row, condition: str, **values: Any) -> None:
        """Deletes a row. Raises ConditionFailed."""
        with translated(self.what):
            self.client.delete_item(**self._delete(key, condition, values))

    def put_part(self, row: Row, condition: str = "", **values: Any) -> Part:
        """A put inside a transaction."""
        return {"Put": self._put(row, condition, values)}

    def update_part(self, key: Row, changes: Row, condition: str = "", **values: Any) -> Part:
        """An update inside a transaction."""
        return {"Update": self._update(key, changes, condition, values, {})}

    def delete_part(self, key: Row, condition: str = "", **values: Any) -> Part:
        """A deletion inside a transaction."""
        return {"Delete": self._delete(key, condition, values)}

    def transact(self, parts: Sequence[Part]) -> None:
        """All of the parts or none.

        Raises ConditionFailed, whose `reasons` are in the order of the parts.
        """
        with translated(self.what):
            self.client.transact_write_items(TransactItems=list(parts))  # type: ignore[arg-type]

    def _put(self, row: Row, condition: str, values: Mapping[str, Any]) -> Part:
        return {"TableName": self.name, "Item": to_item(row), **_conditional(condition, values)}

    def _delete(self, key: Row, condition: str, values: Mapping[str, Any]) -> Part:
        return {"TableName": self.name, "Key": to_item(key), **_conditional(condition, values)}

    def _update(self, key: Row, changes: Row, condition: str, values: Mapping[str, Any], add: Row) -> Part:
        sets = [name for name, value in changes.items() if value is not None]
        removes = [name for name, value in changes.items() if value is None]
        clauses = [
            _clause("SET", [f"#{name} = :new_{name}" for name in sets]),
            _clause("REMOVE", [f"#{name}" for name in removes]),
            _clause("ADD", [f"#{name} :add_{name}" for name in add]),
        ]
        written = {f"new_{name}": changes[name] for name in sets} | {f"add_{name}": add[name] for name in add}
        expression = " ".join(clause for clause in clauses if clause)
        request = _conditional(condition, {**values, **written}, expression)
        return {"TableName": self.name, "Key": to_item(key), "UpdateExpression": expression, **request}


def read_some(
    client: DynamoDBClient, what: str, keys: Mapping[str, Sequence[Row]], **options: Any
) -> dict[str, list[Row]]:
    """The rows that exist of at most BATCH keys, by the tables' names, read consistently and in no order.

    `options` are further ones of BatchGetItem, such as a projection. Raises Unavailable.
    """
    found: dict[str, list[Row]] = {name: [] for name in keys}
    asked = {name: [to_item(key) for key in some] for name, some in keys.items()}
    for number in range(BATCH_TRIES):
        if number:
            sleep(random.uniform(FIRST_PAUSE / 10, FIRST_PAUSE * 2 ** (number - 1)))  # noqa: S311 - no secret
        request: Row = {
            name: {"Keys": some, "ConsistentRead": True, **options} for name, some in asked.items()
        }
        with translated(what):
            answer = client.batch_get_item(RequestItems=request)
        for name, items in answer["Responses"].items():
            found[name] += [from_item(item) for item in items]
        # DynamoDB answers what fits its throughput and 16 MB, and hands back the rest.
        asked = {name: list(left["Keys"]) for name, left in answer["UnprocessedKeys"].items()}
        if not asked:
            return found
    raise unavailable(what, "UnprocessedKeys")


def get_together(keys: Mapping[Table, Row]) -> dict[Table, Row]:
    """The rows that exist of one key of each table, in one request. Raises Unavailable.

    Each is read consistently, but one before another: together they may never have been so.
    """
    client = next(iter(keys)).client
    rows = read_some(client, "The tables", {table.name: [key] for table, key in keys.items()})
    return {table: rows[table.name][0] for table in keys if rows[table.name]}


def fitting(kind: type[Any], row: Mapping[str, Any]) -> Row:
    """The attributes that are fields of the dataclass. A newer version may have written others."""
    return {field.name: row[field.name] for field in fields(kind) if field.name in row}


def _clause(verb: str, parts: Sequence[str]) -> str:
    return f"{verb} {', '.join(parts)}" if parts else ""


def _conditional(condition: str, values: Mapping[str, Any], expression: str = "") -> Part:
    names = {f"#{name}": name for name in _NAME.findall(f"{condition} {expression}")}
    request: Part = {}
    if condition:
        request["ConditionExpression"] = condition
    if names:
        request["ExpressionAttributeNames"] = names
    if values:
        request["ExpressionAttributeValues"] = to_item({f":{name}": value for name, value in values.items()})
    return request
