"""The stacks as deployed into the sandbox's AWS, where every function's policy is enforced."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from cli.stacks import Telling, delete_app_stack

if TYPE_CHECKING:
    from cli.package import Package
    from sandbox.certs import Authority
    from tests.packaging.conftest import Deployed

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("packaging")]

TABLES = {
    "access-tokens",
    "accounts",
    "authorizations",
    "callers",
    "connectors",
    "grants",
    "lanes",
    "messages",
    "rates",
    "schedules",
}
FUNCTIONS = {"api", "connect", "refresh", "refresh-tokens", "relay", "relay-due", "send", "tokens"}


def client_with_role_of(aws: Deployed, function: str, service: str) -> Any:
    """Return a client that signs as `function` does, with temporary credentials of its role."""
    session = aws.session
    role = session.client("lambda").get_function(FunctionName=aws.name(function))["Configuration"]["Role"]
    assumed = session.client("sts").assume_role(RoleArn=role, RoleSessionName=function)["Credentials"]
    return session.client(
        service,
        aws_access_key_id=assumed["AccessKeyId"],
        aws_secret_access_key=assumed["SecretAccessKey"],
        aws_session_token=assumed["SessionToken"],
    )


def key_arn(aws: Deployed, name: str) -> str:
    described = aws.session.client("kms").describe_key(KeyId=f"alias/mailgrant-{aws.stage}-{name}")
    return str(described["KeyMetadata"]["Arn"])


def assert_denied(call: Any, **arguments: Any) -> None:
    with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
        call(**arguments)


def test_every_table_is_protected_against_deletion(aws: Deployed) -> None:
    dynamodb = aws.session.client("dynamodb")

    names = dynamodb.list_tables()["TableNames"]

    assert set(names) == {aws.name(name) for name in TABLES}
    for name in names:
        assert dynamodb.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"]


def test_every_function_has_a_role_of_its_own(aws: Deployed) -> None:
    functions = aws.session.client("lambda").list_functions()["Functions"]

    assert {function["FunctionName"] for function in functions} == {aws.name(name) for name in FUNCTIONS}
    assert len({function["Role"] for function in functions}) == len(FUNCTIONS)


@pytest.mark.parametrize("function", ["api", "send"])
@pytest.mark.parametrize("key", ["grants", "access-tokens"])
def test_doors_may_use_neither_key(function: str, key: str, aws: Deployed) -> None:
    kms = client_with_role_of(aws, function, "kms")

    assert_denied(kms.generate_data_key, KeyId=key_arn(aws, key), KeySpec="AES_256")


@pytest.mark.parametrize("function", ["api", "send", "relay", "relay-due"])
def test_who_needs_no_client_secret_may_read_none(function: str, aws: Deployed) -> None:
    name = f"mailgrant-{aws.stage}/connector/of-{function}"
    aws.session.client("secretsmanager").create_secret(Name=name, SecretString="precious")

    secrets = client_with_role_of(aws, function, "secretsmanager")

    assert_denied(secrets.get_secret_value, SecretId=name)


@pytest.mark.parametrize("function", ["relay", "relay-due"])
def test_relays_decrypt_access_tokens_and_no_grants(function: str, aws: Deployed) -> None:
    root, relay = aws.session.client("kms"), client_with_role_of(aws, function, "kms")
    wrapped = {
        key: root.generate_data_key(KeyId=key_arn(aws, key), KeySpec="AES_256")["CiphertextBlob"]
        for key in ("access-tokens", "grants")
    }

    plain = relay.decrypt(CiphertextBlob=wrapped["access-tokens"], KeyId=key_arn(aws, "access-tokens"))

    assert len(plain["Plaintext"]) == 32
    assert_denied(relay.decrypt, CiphertextBlob=wrapped["grants"], KeyId=key_arn(aws, "grants"))
    assert_denied(relay.generate_data_key, KeyId=key_arn(aws, "access-tokens"), KeySpec="AES_256")


@pytest.mark.parametrize(
    ("function", "forbidden"),
    [
        ("api", "grants"),
        ("api", "access-tokens"),
        ("send", "grants"),
        ("send", "access-tokens"),
        ("relay", "grants"),
        ("relay-due", "grants"),
        ("tokens", "messages"),
        ("connect", "messages"),
        ("refresh", "messages"),
        ("refresh-tokens", "callers"),
    ],
)
def test_tables_that_are_not_its_business_are_closed(function: str, forbidden: str, aws: Deployed) -> None:
    dynamodb = client_with_role_of(aws, function, "dynamodb")
    key = {"account": {"S": "a"}} | ({"message": {"S": "m"}} if forbidden == "messages" else {})

    assert_denied(dynamodb.get_item, TableName=aws.name(forbidden), Key=key)


def test_relay_reads_its_mail_by_the_local_index_consistently(aws: Deployed) -> None:
    aws.session.client("dynamodb").put_item(
        TableName=aws.name("messages"),
        Item={"account": {"S": "lsi"}, "message": {"S": "m"}, "next_attempt_at": {"N": "5"}},
    )

    found = client_with_role_of(aws, "relay", "dynamodb").query(
        TableName=aws.name("messages"),
        IndexName="by_next_attempt",
        KeyConditionExpression="account = :account AND next_attempt_at <= :now",
        ExpressionAttributeValues={":account": {"S": "lsi"}, ":now": {"N": "9"}},
        ConsistentRead=True,
    )

    assert [item["message"]["S"] for item in found["Items"]] == ["m"]


def test_an_alias_of_send_exists_for_the_caller_it_is_named_after(aws: Deployed) -> None:
    alias = aws.session.client("lambda").get_alias(FunctionName=aws.name("send"), Name="orders")

    assert alias["AliasArn"].endswith(f":function:{aws.name('send')}:orders")


def test_the_schedules_wake_their_functions(aws: Deployed) -> None:
    events = aws.session.client("events")

    rules = events.list_rules()["Rules"]

    woken = {}
    for rule in rules:
        (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        woken[target["Arn"].rpartition(":")[2]] = (rule["State"], rule["ScheduleExpression"])
    assert woken == {
        aws.name("relay-due"): ("ENABLED", "rate(1 minute)"),
        aws.name("refresh-tokens"): ("ENABLED", "rate(5 minutes)"),
    }


def test_the_public_url_is_in_ssm(aws: Deployed) -> None:
    parameter = aws.session.client("ssm").get_parameter(Name=f"/mailgrant/{aws.stage}/public-url")

    assert parameter["Parameter"]["Value"] == aws.url


def test_an_unknown_path_is_answered_in_the_shape_of_every_error(aws: Deployed, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.cafile))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )

    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(f"{aws.url}/no/such/path")

    with caught.value as answer:
        assert answer.code == 404
        assert json.loads(answer.read())["error"]["code"] == "not_found"


def test_the_application_can_be_deleted_and_deployed_again_without_losing_data(
    aws: Deployed, built: Package
) -> None:
    session = aws.session
    dynamodb, queues = session.client("dynamodb"), session.client("sqs")
    dynamodb.put_item(TableName=aws.name("accounts"), Item={"account": {"S": "kept"}})
    keys = {name: key_arn(aws, name) for name in ("grants", "access-tokens")}
    queue_urls = queues.list_queues()["QueueUrls"]

    delete_app_stack(session, aws.stage, Telling(print))

    assert session.client("lambda").list_functions()["Functions"] == []
    assert dynamodb.get_item(TableName=aws.name("accounts"), Key={"account": {"S": "kept"}})["Item"]
    aws.deploy(built)
    assert {name: key_arn(aws, name) for name in keys} == keys
    assert queues.list_queues()["QueueUrls"] == queue_urls
    assert dynamodb.get_item(TableName=aws.name("accounts"), Key={"account": {"S": "kept"}})["Item"]
