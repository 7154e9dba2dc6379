"""Counts the calls to AWS that the application's own clients make, by botocore's events."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chalicelib.wiring import Gateway

CLIENTS = ("dynamodb", "kms", "secretsmanager", "s3", "sqs", "lambda_", "ssm", "events")
"""All that chalicelib.aws.clients makes."""

BEFORE_SEND = "before-send.*.*"
"""Each request as it leaves, so that a retry counts too."""


class Calls:
    """What was asked: `total` requests, and their `operations`.

    Operations are counted as ``kms.Decrypt`` or ``dynamodb.PutItem:messages``; a transaction counts once for
    each of its parts, as ``dynamodb.TransactWriteItems:grants``, which is how it is billed.
    """

    def __init__(self) -> None:
        self.total = 0
        self.operations: Counter[str] = Counter()

    def note(self, event_name: str, request: Any, **_: Any) -> None:
        """One request, as botocore tells of it."""
        service, operation = event_name.split(".")[1:3]
        self.total += 1
        tables = _tables(json.loads(request.body)) if service == "dynamodb" else [""]
        self.operations.update(f"{service}.{operation}{table}" for table in tables)


@contextmanager
def counted(gateway: Gateway) -> Iterator[Calls]:
    """The calls of whatever uses the gateway inside."""
    calls = Calls()
    clients = [getattr(gateway.clients, name) for name in CLIENTS]
    for client in clients:
        client.meta.events.register(BEFORE_SEND, calls.note, unique_id="bench")
    try:
        yield calls
    finally:
        for client in clients:
            client.meta.events.unregister(BEFORE_SEND, unique_id="bench")


def _tables(asked: Mapping[str, Any]) -> list[str]:
    """The nouns of the tables that a request is about, with a colon, once for each part."""
    if "TableName" in asked:
        names = [asked["TableName"]]
    elif "TransactItems" in asked:
        names = [next(iter(part.values()))["TableName"] for part in asked["TransactItems"]]
    else:
        names = list(asked["RequestItems"])
    return [f":{name.split('-', 2)[2]}" for name in names]
