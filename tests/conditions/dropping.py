"""Takes the condition of one named write away, on its way from the application's code to boto3."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from tests.conditions.written import HELPERS, TABLES

if TYPE_CHECKING:
    from types import FrameType

_PLACEHOLDER = re.compile(r"[#:]\w+")
_EXPRESSIONS = ("UpdateExpression", "KeyConditionExpression", "ProjectionExpression")


class Dropping:
    """Notes this process's conditional writes in `seen`; takes the condition of the one in `drop` away."""

    def __init__(self) -> None:
        self.drop: str | None = None
        self.seen: Counter[str] = Counter()
        self.bare: set[str] = set()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stands before every client's request until the end of the block."""
        original = vars(BaseClient)["_make_api_call"]

        def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
            if writer := _writer(sys._getframe(1)):
                request = self._passed(writer, operation, request)
            return original(client, operation, request)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", call)
            yield

    def _passed(self, writer: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The request as it goes on."""
        if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
            return self._one(writer, request)
        if operation == "TransactWriteItems":
            names = _part_names(writer, request["TransactItems"])
            parts = zip(names, request["TransactItems"], strict=True)
            return request | {"TransactItems": [self._part(name, part) for name, part in parts]}
        return request

    def _part(self, name: str, part: dict[str, Any]) -> dict[str, Any]:
        return {verb: self._one(name, request) for verb, request in part.items()}

    def _one(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        if "ConditionExpression" not in request:
            self.bare.add(name)
            return request
        self.seen[name] += 1
        return without_condition(request) if name == self.drop else request


def without_condition(request: dict[str, Any]) -> dict[str, Any]:
    """The write without its condition, and without the names and values that only the condition used.

    DynamoDB refuses a request with unused ones, and then every test would fail for that reason.
    """
    request = {name: value for name, value in request.items() if name != "ConditionExpression"}
    used = set(_PLACEHOLDER.findall(" ".join(request.get(name, "") for name in _EXPRESSIONS)))
    for attribute in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        kept = {name: value for name, value in request.pop(attribute, {}).items() if name in used}
        if kept:
            request[attribute] = kept
    return request


def _writer(frame: FrameType | None) -> str | None:
    """The outermost function of a table's module on the stack, as ``grants.lease``."""
    found = None
    while frame is not None:
        path, _, name = frame.f_code.co_filename.rpartition("/")
        stem = name.removesuffix(".py")
        if path == str(TABLES) and stem not in HELPERS:
            found = f"{stem}.{frame.f_code.co_name}"
        frame = frame.f_back
    return found


def _part_names(writer: str, parts: list[dict[str, Any]]) -> list[str]:
    """``writer/table`` for each part; the second of one table is ``writer/table.2``."""
    counted: Counter[str] = Counter()
    names = []
    for part in parts:
        (request,) = part.values()
        table = request["TableName"].split("-", 2)[2]
        counted[table] += 1
        names.append(f"{writer}/{table}" + (f".{counted[table]}" if counted[table] > 1 else ""))
    return names
