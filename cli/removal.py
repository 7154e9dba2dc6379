"""Deletes a stage's data, and says what outlives a stage and what that costs."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from cli.cloudformation import Stack, delete
from cli.stacks import artifact_bucket, data_stack_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import boto3
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

    from cli.preflight import Identity
    from cli.stacks import Telling

TABLES: Final = (
    "connectors",
    "accounts",
    "callers",
    "rates",
    "authorizations",
    "grants",
    "access-tokens",
    "messages",
    "lanes",
    "schedules",
)
QUEUES: Final = ("relay", "relay-dlq", "refresh", "refresh-dlq", "rescue")
KEYS: Final = ("grants", "access-tokens")
LOGS: Final = ("api", "connect", "tokens", "refresh-tokens", "refresh", "send", "relay", "relay-due")
RECOVERY_DAYS: Final = 30
"""How long a key or a secret can be had back after its deletion, the longest that AWS offers."""

NAMES_KEPT: Final = 60
"""Seconds for which SQS gives the name of a deleted queue to nobody (CreateQueue, QueueDeletedRecently)."""
_TOLD_EVERY: Final = 10
"""Seconds between two lines that say how long it still takes."""

_MISSING: Final = (
    "ResourceNotFoundException",
    "NotFoundException",
    "NoSuchBucket",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
)


def kept(identity: Identity, stage: str, *, with_data: bool) -> list[str]:
    """What is left of a stage after its deletion, and about what it costs (US East list prices of 2026)."""
    artifacts = artifact_bucket(identity.account, identity.region)
    packages = f"packages of all stages in s3://{artifacts}: some cents"
    if with_data:
        return [
            f"both keys and the client secrets can be had back for {RECOVERY_DAYS} days, at no cost",
            "the tables' last state as backups that DynamoDB keeps for 35 days by itself, at no cost",
            packages,
        ]
    return [
        f"tables mailgrant-{stage}-* (mailboxes, tokens, messages): $0.45 per GB and month with backups",
        "two KMS keys: $1 each per month",
        "client secrets of the connectors: $0.40 each per month",
        f"bucket mailgrant-{stage}-{identity.account}-{identity.region}: $0.023 per GB and month",
        "queues: nothing; mail that is queued waits for the next deployment, and is given up when it expires",
        f"logs /aws/lambda/mailgrant-{stage}-*, each line for 90 days: $0.03 per GB and month",
        packages,
    ]


def remove_data(session: boto3.Session, identity: Identity, stage: str, telling: Telling) -> None:
    """Delete the data stack, and all that outlives it by its retention. What is gone already is passed over.

    At its end the stage can be deployed again: it waits until SQS gives the queues' names back. The
    application must have been deleted before. Raises Trouble, and botocore's errors.
    """
    client = session.client("cloudformation")
    if stack := Stack.find(client, data_stack_name(stage)):
        telling.say(f"{stack.name}: deleting")
        delete(client, stack, telling.event)
    telling.say("deleting the queues")
    queues, deleted_at = _remove_queues(session, stage), time.monotonic()
    for what, remove in (
        ("tables", _remove_tables),
        ("keys", _remove_keys),
        ("client secrets", _remove_secrets),
        ("logs", _remove_logs),
    ):
        telling.say(f"deleting the {what}")
        remove(session, stage)
    telling.say("deleting the bucket")
    _remove_bucket(session, f"mailgrant-{stage}-{identity.account}-{identity.region}")
    if queues:
        _wait_for_names(NAMES_KEPT - int(time.monotonic() - deleted_at), telling)


def _remove_tables(session: boto3.Session, stage: str) -> None:
    client = session.client("dynamodb")
    for name in TABLES:
        with _unless_missing():
            _remove_table(client, f"mailgrant-{stage}-{name}")


def _remove_table(client: DynamoDBClient, table: str) -> None:
    if client.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
        client.update_table(TableName=table, DeletionProtectionEnabled=False)
        client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    client.delete_table(TableName=table)


def _remove_queues(session: boto3.Session, stage: str) -> int:
    """Delete the queues, and return how many there were."""
    client, count = session.client("sqs"), 0
    for name in QUEUES:
        with _unless_missing():
            url = client.get_queue_url(QueueName=f"mailgrant-{stage}-{name}")["QueueUrl"]
            client.delete_queue(QueueUrl=url)
            count += 1
    return count


def _wait_for_names(seconds: int, telling: Telling) -> None:
    """Wait until SQS gives the names of deleted queues back, and say how long that takes."""
    for left in range(seconds, 0, -_TOLD_EVERY):
        telling.say(f"all is deleted; SQS gives the queues' names back in {left} s (Ctrl-C does no harm)")
        time.sleep(min(left, _TOLD_EVERY))


def _remove_logs(session: boto3.Session, stage: str) -> None:
    client = session.client("logs")
    for name in LOGS:
        with _unless_missing():
            client.delete_log_group(logGroupName=f"/aws/lambda/mailgrant-{stage}-{name}")


def _remove_keys(session: boto3.Session, stage: str) -> None:
    client = session.client("kms")
    for name in KEYS:
        alias = f"alias/mailgrant-{stage}-{name}"
        with _unless_missing():
            key = client.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
            client.schedule_key_deletion(KeyId=key, PendingWindowInDays=RECOVERY_DAYS)
            client.delete_alias(AliasName=alias)


def _remove_secrets(session: boto3.Session, stage: str) -> None:
    client = session.client("secretsmanager")
    prefix = f"mailgrant-{stage}/connector/"
    pages = client.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
    for secret in (one["Name"] for page in pages for one in page["SecretList"]):
        if secret.startswith(prefix):
            client.delete_secret(SecretId=secret, RecoveryWindowInDays=RECOVERY_DAYS)


def _remove_bucket(session: boto3.Session, bucket: str) -> None:
    client = session.client("s3")
    with _unless_missing():
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            found: list[ObjectIdentifierTypeDef] = [{"Key": one["Key"]} for one in page.get("Contents", [])]
            if found:
                client.delete_objects(Bucket=bucket, Delete={"Objects": found})
        client.delete_bucket(Bucket=bucket)


@contextmanager
def _unless_missing() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
