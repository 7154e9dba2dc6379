"""What stands between functions and emulator: old answers of indexes, late and doubled messages."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from cli.stacks import deploy_data_stack
from sandbox.aws.emulator import REGION, Emulator, EmulatorSession
from sandbox.aws.lagging import LAG, LATE, LATER, Lagging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.aws

LANES = "mailgrant-lag-lanes"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorSession]:
    """A session whose requests pass the lag."""
    directory: Path = tmp_path_factory.mktemp("lagging")
    emulator = Emulator(directory / "aws")
    lagging = Lagging(emulator.session(), emulator.port)
    emulator.start()
    lagging.start()
    try:
        deploy_data_stack(emulator.session(), "lag", lambda _: None)
        lagging.begin()
        yield EmulatorSession(lagging.url)
    finally:
        lagging.stop()
        emulator.stop()


def due(session: EmulatorSession) -> list[dict[str, Any]]:
    """The lanes of shard 0 that are due at 20, at most two."""
    answer = session.client("dynamodb").query(
        TableName=LANES,
        IndexName="by_due",
        KeyConditionExpression="#shard = :shard AND next_due_at <= :now",
        ExpressionAttributeNames={"#shard": "due_shard"},
        ExpressionAttributeValues={":shard": {"S": "0"}, ":now": {"N": "20"}},
        Limit=2,
    )
    return list(answer["Items"])


def test_an_index_is_behind_its_table_and_answers_as_an_index(session: EmulatorSession) -> None:
    client = session.client("dynamodb")
    began = time.monotonic()
    for account, shard, at in (("d", "0", 21), ("c", "0", 20), ("b", "0", 9), ("a", "0", 19), ("e", "1", 1)):
        row = {"account": account, "due_shard": shard, "closed": "blocked"}
        item: Any = {name: {"S": value} for name, value in row.items()} | {"next_due_at": {"N": str(at)}}
        client.put_item(TableName=LANES, Item=item)

    assert due(session) == []
    while not (found := due(session)):
        time.sleep(0.05)
    assert time.monotonic() - began > LAG
    assert [item["account"]["S"] for item in found] == ["b", "a"]
    assert set(found[0]) == {"account", "due_shard", "next_due_at"}


def test_an_index_is_read_backwards_page_by_page_between_two_keys(session: EmulatorSession) -> None:
    client = session.client("dynamodb")
    for number in range(5):
        row = {"account": "a", "message": f"m{number}", "list_shard": "0", "listed_as": f"sent#{number}"}
        item: Any = {name: {"S": value} for name, value in {**row, "caller": "c", "subject": "s"}.items()}
        client.put_item(TableName="mailgrant-lag-messages", Item=item)
    query: Any = {
        "TableName": "mailgrant-lag-messages",
        "IndexName": "all_by_state",
        "KeyConditionExpression": "list_shard = :value AND listed_as BETWEEN :oldest AND :newest",
        "ExpressionAttributeValues": {
            ":value": {"S": "0"},
            ":oldest": {"S": "sent#1"},
            ":newest": {"S": "sent#3"},
        },
        "ScanIndexForward": False,
        "Limit": 2,
    }

    while len((first := client.query(**query))["Items"]) < 2:
        time.sleep(0.05)
    second = client.query(**query, ExclusiveStartKey=first["LastEvaluatedKey"])

    assert [item["message"]["S"] for item in first["Items"] + second["Items"]] == ["m3", "m2", "m1"]
    assert "LastEvaluatedKey" not in second
    assert set(first["Items"][0]) == {"account", "message", "list_shard", "listed_as", "caller"}


def test_the_table_itself_is_read_as_it_is(session: EmulatorSession) -> None:
    client = session.client("dynamodb")
    client.put_item(TableName=LANES, Item={"account": {"S": "f"}})

    assert "Item" in client.get_item(TableName=LANES, Key={"account": {"S": "f"}})


def test_a_message_comes_late_and_twice(session: EmulatorSession) -> None:
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName="mailgrant-lag-relay")["QueueUrl"]
    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"account": "a"}), MessageGroupId="a")
    came: list[float] = []

    while len(came) < 2 and time.monotonic() < sent + 3 * LATER:
        arrived = sqs.receive_message(QueueUrl=url).get("Messages", ())
        came += [time.monotonic() - sent for _ in arrived]
        time.sleep(0.05)

    assert len(came) == 2
    assert came[0] > LATE * 0.9
    assert came[1] > LATER * 0.9


def test_bytes_pass_as_they_are(session: EmulatorSession) -> None:
    s3, body = session.client("s3"), bytes(range(256)) * 4096
    s3.create_bucket(Bucket="passing", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="passing", Key="all", Body=body)

    assert s3.get_object(Bucket="passing", Key="all")["Body"].read() == body
    assert s3.head_object(Bucket="passing", Key="all")["ContentLength"] == len(body)
