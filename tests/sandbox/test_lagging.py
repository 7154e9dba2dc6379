"""What stands between functions and emulator: old answers of indexes, late and doubled messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.stacks import deploy_data_stack
from sandbox.aws.emulator import REGION, Emulator, EmulatorSession
from sandbox.aws.lagging import LAG, LATE, Lagging
from tests.helpers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.aws

LANES = "mailgrant-lag-lanes"


class Clock:
    """The time of the indexes, which stands until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def lagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lagging]:
    """What makes AWS lag, by a clock of the tests'."""
    directory: Path = tmp_path_factory.mktemp("lagging")
    emulator = Emulator(directory / "aws")
    lagging = Lagging(emulator.session(), emulator.port, CLOCK)
    emulator.start()
    lagging.start()
    try:
        deploy_data_stack(emulator.session(), "lag", lambda _: None)
        lagging.begin()
        yield lagging
    finally:
        lagging.stop()
        emulator.stop()


@pytest.fixture
def session(lagging: Lagging) -> EmulatorSession:
    """A session whose requests pass the lag."""
    return EmulatorSession(lagging.url)


def look(lagging: Lagging) -> None:
    """Waits until all tables were looked at once more, from now on."""
    taken = lagging.indexes.looks
    until(lambda: lagging.indexes.looks >= taken + 2)


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


def test_an_index_is_behind_its_table_and_answers_as_an_index(
    lagging: Lagging, session: EmulatorSession
) -> None:
    client = session.client("dynamodb")
    for account, shard, at in (("d", "0", 21), ("c", "0", 20), ("b", "0", 9), ("a", "0", 19), ("e", "1", 1)):
        row = {"account": account, "due_shard": shard, "closed": "blocked"}
        item: Any = {name: {"S": value} for name, value in row.items()} | {"next_due_at": {"N": str(at)}}
        client.put_item(TableName=LANES, Item=item)

    look(lagging)
    too_early = due(session)
    CLOCK.now += LAG
    found = due(session)

    assert too_early == []
    assert [item["account"]["S"] for item in found] == ["b", "a"]
    assert set(found[0]) == {"account", "due_shard", "next_due_at"}


def test_an_index_is_read_backwards_page_by_page_between_two_keys(
    lagging: Lagging, session: EmulatorSession
) -> None:
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

    look(lagging)
    CLOCK.now += LAG
    first = client.query(**query)
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
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"account": "a"}), MessageGroupId="a")
    came: list[str] = []

    def is_there_twice() -> bool:
        came.extend(message["Body"] for message in sqs.receive_message(QueueUrl=url).get("Messages", ()))
        return len(came) > 1

    until(is_there_twice)

    delay = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]
    assert came == ['{"account": "a"}'] * 2
    assert delay["DelaySeconds"] == str(LATE)


def test_bytes_pass_as_they_are(session: EmulatorSession) -> None:
    s3, body = session.client("s3"), bytes(range(256)) * 4096
    s3.create_bucket(Bucket="passing", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="passing", Key="all", Body=body)

    assert s3.get_object(Bucket="passing", Key="all")["Body"].read() == body
    assert s3.head_object(Bucket="passing", Key="all")["ContentLength"] == len(body)
