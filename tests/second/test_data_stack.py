"""The data stack as a second emulator of CloudFormation makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli import removal
from tests.second.aws import STAGE, template

if TYPE_CHECKING:
    from tests.second.aws import SecondAws

KINDS = ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")


def tables() -> dict[str, dict[str, Any]]:
    """The tables of the template by name."""
    return {
        one["Properties"]["TableName"]["Fn::Sub"].replace("${Stage}", STAGE): one["Properties"]
        for one in template()["Resources"].values()
        if one["Type"] == "AWS::DynamoDB::Table"
    }


def indexes(table: dict[str, Any]) -> dict[str, Any]:
    """Index → its key and what it holds."""
    return {
        one["IndexName"]: (one["KeySchema"], one["Projection"])
        for kind in KINDS
        for one in table.get(kind, [])
    }


def test_uf7_every_table_has_the_keys_and_indexes_of_the_template(aws: SecondAws) -> None:
    client = aws.clients.dynamodb

    assert set(client.list_tables()["TableNames"]) == set(tables())
    for name, wanted in tables().items():
        made: dict[str, Any] = {**client.describe_table(TableName=name)["Table"]}
        assert made["KeySchema"] == wanted["KeySchema"], name
        assert indexes(made) == indexes(wanted), name
        types = {one["AttributeName"]: one["AttributeType"] for one in made["AttributeDefinitions"]}
        assert types == {one["AttributeName"]: one["AttributeType"] for one in wanted["AttributeDefinitions"]}
        assert made["DeletionProtectionEnabled"] is True, name
        assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST", name


def test_uf7_every_queue_has_the_attributes_of_the_template(aws: SecondAws) -> None:
    client = aws.clients.sqs

    urls = {url.rpartition("/")[2]: url for url in client.list_queues()["QueueUrls"]}
    assert set(urls) == {f"mailgrant-{STAGE}-{name}" for name in removal.QUEUES}
    wanted = {
        one["Properties"]["QueueName"]["Fn::Sub"].replace("${Stage}", STAGE): one["Properties"]
        for one in template()["Resources"].values()
        if one["Type"] == "AWS::SQS::Queue"
    }
    for name, url in urls.items():
        made = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for attribute in ("VisibilityTimeout", "MessageRetentionPeriod"):
            if attribute in wanted[name]:
                assert int(made[attribute]) == wanted[name][attribute], name


def test_uf7_logs_end_and_keys_rotate(aws: SecondAws) -> None:
    groups = aws.session.client("logs").describe_log_groups()["logGroups"]

    assert {one["logGroupName"]: one.get("retentionInDays") for one in groups} == {
        f"/aws/lambda/mailgrant-{STAGE}-{name}": 90 for name in removal.LOGS
    }
    for key in (aws.settings.grants_key_arn, aws.settings.access_tokens_key_arn):
        assert aws.clients.kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
