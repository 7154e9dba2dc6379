"""AWS at its slowest, between the functions and the emulator: late queues that deliver twice, old indexes.

The emulator reads every index at once and delivers each message once, at once; AWS promises neither. With
this in between, a query of a global index is answered by what the table held LAG seconds ago, and every
message that is sent to a queue is delivered late, and once more later. All else passes through.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from operator import eq, gt, le, lt
from typing import TYPE_CHECKING, Any, Final

from sandbox.aws.passing import Answer, PassingHandler, PassingServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.aws.emulator import EmulatorSession

LAG: Final = 2.0
"""Seconds that an index is behind its table."""
LATE: Final = 1
"""Seconds after which a queue delivers a message for the first time."""
LATER: Final = 3
"""Seconds after which it delivers it again."""

Item = dict[str, dict[str, Any]]

_LOOK_SECONDS = 0.25
_CLAUSE: Final = re.compile(r"([#\w]+) (?:(=|<=) (:\w+)|BETWEEN (:\w+) AND (:\w+))(?: AND |$)")


@dataclass(frozen=True)
class Index:
    """A global index of a table: the attributes that it holds, the keys among them, its own two keys."""

    table: str
    held: frozenset[str]
    keys: frozenset[str]
    partition: str
    sort: str


class Indexes:
    """What the global indexes of all tables held LAG seconds ago."""

    def __init__(self, session: EmulatorSession, clock: Callable[[], float]) -> None:
        self._client = session.client("dynamodb")
        self._clock = clock
        self._indexes: dict[tuple[str, str], Index] = {}
        self._looks: deque[tuple[float, dict[Index, list[Item]]]] = deque()
        self._taken = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="indexes", daemon=True)

    def start(self) -> None:
        """Look at all tables from now on; they exist."""
        for name in self._client.list_tables()["TableNames"]:
            table = self._client.describe_table(TableName=name)["Table"]
            for index in table.get("GlobalSecondaryIndexes", ()):
                partition, sort = (key["AttributeName"] for key in index["KeySchema"])
                keys = frozenset({partition, sort, *(key["AttributeName"] for key in table["KeySchema"])})
                held = keys | set(index["Projection"].get("NonKeyAttributes", ()))
                self._indexes[name, index["IndexName"]] = Index(name, held, keys, partition, sort)
        self._thread.start()

    @property
    def looks(self) -> int:
        """How many looks were taken so far."""
        return self._taken

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query of a global index."""
        index = self._indexes[query["TableName"], query["IndexName"]]
        held = [item for item in self._before(index) if {index.partition, index.sort} <= item.keys()]
        found = [
            {name: value for name, value in item.items() if name in index.held}
            for item in held
            if all(clause(item) for clause in _clauses(query))
        ]
        forward = query.get("ScanIndexForward", True)
        found.sort(key=lambda item: _comparable(item[index.sort]), reverse=not forward)
        if "ExclusiveStartKey" in query:  # which may be gone by now
            last = _comparable(query["ExclusiveStartKey"][index.sort])
            beyond = gt if forward else lt
            found = [item for item in found if beyond(_comparable(item[index.sort]), last)]
        return _page(index, found, query.get("Limit", len(found)))

    def _before(self, index: Index) -> list[Item]:
        then = self._clock() - LAG
        old = [seen for at, seen in list(self._looks) if at <= then]
        return old[-1].get(index, []) if old else []

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            seen = {index: self._scan(index) for index in self._indexes.values()}
            at = self._clock()  # of the end: what is seen may have come while it was looked for
            self._looks.append((at, seen))
            self._taken += 1
            while self._looks and self._looks[0][0] < at - 2 * LAG:
                self._looks.popleft()

    def _scan(self, index: Index) -> list[Item]:
        names = {f"#{number}": name for number, name in enumerate(sorted(index.held))}
        pages = self._client.get_paginator("scan").paginate(
            TableName=index.table,
            ProjectionExpression=", ".join(names),
            ExpressionAttributeNames=names,
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]


class Queues:
    """Delivers every message late, and twice."""

    def __init__(self, session: EmulatorSession) -> None:
        self._client = session.client("sqs")

    def start(self) -> None:
        """Make all queues late but those of dead letters."""
        for url in self._client.list_queues().get("QueueUrls", ()):
            if not url.endswith("-dlq"):
                self._client.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": str(LATE)})

    def again(self, message: dict[str, Any]) -> None:
        """Send a message that was sent once more, later."""
        self._client.send_message(**{**message, "DelaySeconds": LATER})


class Lagging(PassingServer):
    """Stands before the emulator on `backend_port`; `url` is the endpoint for whoever is to meet the lag."""

    def __init__(
        self, session: EmulatorSession, backend_port: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Bind a free port; nothing lags yet."""
        super().__init__(_Handler, backend_port)
        self.indexes = Indexes(session, clock)
        self.queues = Queues(session)
        self.lagging = False

    def begin(self) -> None:
        """Lag, from now on: tables and queues exist. May be repeated."""
        if not self.lagging:
            self.indexes.start()
            self.queues.start()
            self.lagging = True

    def stop(self) -> None:
        """Stop answering."""
        self.indexes.stop()
        super().stop()


class _Handler(PassingHandler):
    server: Lagging

    def answer(self, body: bytes) -> Answer:
        """Answer a query of an index, or pass the request on."""
        target = self.headers.get("X-Amz-Target", "") if self.server.lagging else ""
        if target.endswith(".Query"):
            query = json.loads(body)
            if query.get("IndexName") and not query.get("ConsistentRead"):
                old = json.dumps(self.server.indexes.answer(query)).encode()
                return Answer(HTTPStatus.OK, [("Content-Type", "application/x-amz-json-1.0")], old)
        answer = self.pass_on(body)
        if target == "AmazonSQS.SendMessage" and answer.status == HTTPStatus.OK:
            self.server.queues.again(json.loads(body))
        return answer


def _clauses(query: dict[str, Any]) -> list[Callable[[Item], bool]]:
    """The conditions of a query, with ``=``, ``<=`` or ``BETWEEN``, as our tables write them."""
    names, values = query.get("ExpressionAttributeNames", {}), query["ExpressionAttributeValues"]
    text, clauses = query["KeyConditionExpression"], []
    while text:
        if (found := _CLAUSE.match(text)) is None:
            raise ValueError(f"{text!r} is not known to the lagging indexes")
        name, text = names.get(found[1], found[1]), text[found.end() :]
        if found[2]:
            clauses.append(_clause(name, found[2], _comparable(values[found[3]])))
        else:
            clauses.append(_between(name, _comparable(values[found[4]]), _comparable(values[found[5]])))
    return clauses


def _page(index: Index, found: list[Item], limit: int) -> dict[str, Any]:
    """What a query answers of all that it finds: as many as it wants, and where it goes on."""
    answer = {"Items": found[:limit], "Count": len(found[:limit]), "ScannedCount": len(found[:limit])}
    if len(found) <= limit:
        return answer
    return {**answer, "LastEvaluatedKey": {name: found[limit - 1][name] for name in index.keys}}


def _between(name: str, least: Any, most: Any) -> Callable[[Item], bool]:
    return lambda item: bool(least <= _comparable(item[name]) <= most)


def _clause(name: str, operator: str, wanted: Any) -> Callable[[Item], bool]:
    compare = {"=": eq, "<=": le}[operator]
    return lambda item: bool(compare(_comparable(item[name]), wanted))


def _comparable(value: dict[str, Any]) -> Any:
    ((kind, text),) = value.items()
    return int(text) if kind == "N" else text
