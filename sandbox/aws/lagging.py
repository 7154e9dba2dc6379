"""AWS at its slowest, between the functions and the emulator: late queues that deliver twice, old indexes.

The emulator reads every index at once and delivers each message once, at once; AWS promises neither. With
this in between, a query of a global index is answered by what the table held LAG seconds ago, and every
message that is sent to a queue is delivered late, and once more later. All else passes through.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import eq, le
from typing import TYPE_CHECKING, Any, Final

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
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect"})
_CLAUSE: Final = re.compile(r"([#\w]+) (=|<=) (:\w+)")


@dataclass(frozen=True)
class Index:
    """A global index of a table: the attributes that it holds, its partition key and its sort key."""

    table: str
    keys: frozenset[str]
    partition: str
    sort: str


class Indexes:
    """What the global indexes of all tables held LAG seconds ago."""

    def __init__(self, session: EmulatorSession) -> None:
        self._client = session.client("dynamodb")
        self._indexes: dict[tuple[str, str], Index] = {}
        self._looks: deque[tuple[float, dict[Index, list[Item]]]] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="indexes", daemon=True)

    def start(self) -> None:
        """Look at all tables from now on; they exist."""
        for name in self._client.list_tables()["TableNames"]:
            table = self._client.describe_table(TableName=name)["Table"]
            for index in table.get("GlobalSecondaryIndexes", ()):
                partition, sort = (key["AttributeName"] for key in index["KeySchema"])
                own = (key["AttributeName"] for key in table["KeySchema"])
                self._indexes[name, index["IndexName"]] = Index(
                    name, frozenset({partition, sort, *own}), partition, sort
                )
        self._thread.start()

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
            {name: value for name, value in item.items() if name in index.keys}
            for item in held
            if all(clause(item) for clause in _clauses(query))
        ]
        found.sort(key=lambda item: _comparable(item[index.sort]))
        found = found[: query.get("Limit")]
        return {"Items": found, "Count": len(found), "ScannedCount": len(found)}

    def _before(self, index: Index) -> list[Item]:
        then = time.monotonic() - LAG
        old = [seen for at, seen in list(self._looks) if at <= then]
        return old[-1].get(index, []) if old else []

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            at = time.monotonic()
            self._looks.append((at, {index: self._scan(index) for index in self._indexes.values()}))
            while self._looks and self._looks[0][0] < at - 2 * LAG:
                self._looks.popleft()

    def _scan(self, index: Index) -> list[Item]:
        names = {f"#{number}": name for number, name in enumerate(sorted(index.keys))}
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


class Lagging:
    """Stands before the emulator on `backend_port`; `url` is the endpoint for whoever is to meet the lag."""

    def __init__(self, session: EmulatorSession, backend_port: int) -> None:
        """Bind a free port."""
        self._indexes = Indexes(session)
        self._queues = Queues(session)
        self._server = _Server(self._indexes, self._queues, backend_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="lagging", daemon=True
        )

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return f"http://localhost:{self._server.server_port}"

    def start(self) -> None:
        """Pass requests on; nothing lags yet."""
        self._thread.start()

    def begin(self) -> None:
        """Lag, from now on: tables and queues exist. May be repeated."""
        if not self._server.lagging:
            self._indexes.start()
            self._queues.start()
            self._server.lagging = True

    def stop(self) -> None:
        """Stop answering."""
        self._indexes.stop()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, indexes: Indexes, queues: Queues, backend_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.indexes = indexes
        self.queues = queues
        self.backend_port = backend_port
        self.lagging = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: _Server

    def do_POST(self) -> None:
        """Answer a query of an index, or pass the request on."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        target = self.headers.get("X-Amz-Target", "") if self.server.lagging else ""
        if target.endswith(".Query"):
            query = json.loads(body)
            if query.get("IndexName") and not query.get("ConsistentRead"):
                self._say(200, [("Content-Type", "application/x-amz-json-1.0")], self._old(query))
                return
        status, headers, content = self._pass_on(body)
        if target == "AmazonSQS.SendMessage" and status == http.client.OK:
            self.server.queues.again(json.loads(body))
        self._say(status, headers, content)

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server has them
        """Log nothing."""

    def _old(self, query: dict[str, Any]) -> bytes:
        return json.dumps(self.server.indexes.answer(query)).encode()

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.backend_port)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _say(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        # The answer to HEAD says how long the one to GET would be.
        length = dict(headers).get("Content-Length") if self.command == "HEAD" else None
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()


def _clauses(query: dict[str, Any]) -> list[Callable[[Item], bool]]:
    """The conditions of a query: ``attribute = :value`` and ``attribute <= :value``, as our tables write."""
    names, values = query.get("ExpressionAttributeNames", {}), query["ExpressionAttributeValues"]
    clauses = []
    for text in query["KeyConditionExpression"].split(" AND "):
        if (found := _CLAUSE.fullmatch(text)) is None:
            raise ValueError(f"{text!r} is not known to the lagging indexes")
        clauses.append(_clause(names.get(found[1], found[1]), found[2], _comparable(values[found[3]])))
    return clauses


def _clause(name: str, operator: str, wanted: Any) -> Callable[[Item], bool]:
    compare = {"=": eq, "<=": le}[operator]
    return lambda item: bool(compare(_comparable(item[name]), wanted))


def _comparable(value: dict[str, Any]) -> Any:
    ((kind, text),) = value.items()
    return int(text) if kind == "N" else text
