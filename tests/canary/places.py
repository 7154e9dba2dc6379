"""What is searched: everything of a local AWS that is kept in clear, and what passed the sandbox's front."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.aws.emulator import EmulatorSession
    from sandbox.aws.front import Exchange

Place = tuple[str, str]
"""The name of a place, and a text that was found there."""

ERROR = 400

_LONG = re.compile(r"[A-Za-z0-9_-]{20,}")
"""Ids and tokens in a path."""


def aws(session: EmulatorSession) -> Iterator[Place]:
    """Tables, bucket, queues, logs, parameters and the settings of the functions. Empties the queues."""
    yield from _tables(session.client("dynamodb"))
    yield from _buckets(session.client("s3"))
    yield from _logs(session.client("logs"))
    yield from _functions(session.client("lambda"))
    for parameter in session.client("ssm").get_paginator("describe_parameters").paginate():
        for one in parameter["Parameters"]:
            yield "parameter", session.client("ssm").get_parameter(Name=one["Name"])["Parameter"]["Value"]
    yield from _queues(session.client("sqs"))


def files(paths: Iterable[Path]) -> Iterator[Place]:
    """Logs of processes."""
    for path in paths:
        yield f"log {path.name}", path.read_text(errors="replace")


def exchange(seen: Exchange) -> Iterator[Place]:
    """What a browser, a proxy or a reader of access logs sees of a request."""
    yield "path", seen.path
    for name, value in seen.headers:
        yield f"header {name.lower()}", value
    html = any(name.lower() == "content-type" and "html" in value for name, value in seen.headers)
    kind = "page" if html else "error" if seen.status >= ERROR else "answer"
    where = _LONG.sub("…", seen.path.partition("?")[0])
    yield f"{kind} {seen.method} {where}", seen.content.decode(errors="replace")


def _tables(client: Any) -> Iterator[Place]:
    for names in client.get_paginator("list_tables").paginate():
        for name in names["TableNames"]:
            for page in client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True):
                for item in page["Items"]:
                    yield f"table {name}", _text(item)


def _buckets(client: Any) -> Iterator[Place]:
    for bucket in client.list_buckets()["Buckets"]:
        if "artifacts" in bucket["Name"]:
            continue  # the application's own code
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for one in page.get("Contents", ()):
                body = client.get_object(Bucket=bucket["Name"], Key=one["Key"])["Body"].read()
                yield f"bucket {bucket['Name']}", f"{one['Key']}\n{body.decode(errors='replace')}"


def _logs(client: Any) -> Iterator[Place]:
    for groups in client.get_paginator("describe_log_groups").paginate():
        for group in groups["logGroups"]:
            name = group["logGroupName"]
            for page in client.get_paginator("filter_log_events").paginate(logGroupName=name):
                for event in page["events"]:
                    yield f"log {name}", event["message"]


def _functions(client: Any) -> Iterator[Place]:
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            yield f"settings of {function['FunctionName']}", json.dumps(function.get("Environment", {}))


def _queues(client: Any) -> Iterator[Place]:
    for url in client.list_queues().get("QueueUrls", ()):
        while found := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for one in found:
                client.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
                name = url.rpartition("/")[2]
                yield ("event" if '"detail-type"' in one["Body"] else f"queue {name}"), one["Body"]


def _text(value: Any) -> str:
    """All names and values of an item, also those in bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return "\n".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list | set):
        return "\n".join(map(_text, value))
    return str(value)
